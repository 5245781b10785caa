// SPDX-License-Identifier: GPL-2.0-or-later
//
// The whole log of a machine in memory, and checks that it shows the real records.
#ifndef IMASNAP_TESTS_WHOLE_LOG_FIXTURE_H_
#define IMASNAP_TESTS_WHOLE_LOG_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "view/whole_log.h"
#include "world.h"

namespace imasnap {

inline constexpr std::chrono::milliseconds kAtOnce{0};

inline Result<std::unique_ptr<WholeLog>> Open(testing::World* world) {
  const Environment env = world->Env();
  return WholeLog::Open(env, kAtOnce);
}

inline std::vector<ViewFormat> Formats() {
  std::vector<ViewFormat> formats;
  for (const HashAlg alg : {HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSha512}) {
    for (const bool ascii : {false, true}) {
      formats.push_back({.ascii = ascii, .alg = alg});
    }
  }
  return formats;
}

// What `cat` writes, which is compared with the kernel elsewhere.
inline Bytes Expected(testing::World* world, const ViewFormat& format) {
  auto bytes = world->Cat({.ascii = format.ascii, .header_alg = format.alg});
  EXPECT_TRUE(bytes.ok()) << bytes.error().ToString();
  return bytes.ok() ? *bytes : Bytes();
}

// Reads everything, `size` bytes at a time.
inline Bytes ReadWith(const LogIndex& index, const ViewFormat& format, size_t size) {
  Bytes all;
  Bytes buffer(size);
  while (true) {
    const auto got = index.Read(format, all.size(), buffer);
    EXPECT_TRUE(got.ok()) << got.error().ToString();
    if (!got.ok() || *got == 0) {
      return all;
    }
    AppendBytes(ByteView(buffer).first(*got), &all);
  }
}

inline void ExpectWhole(testing::World* world, const WholeLog& log) {
  const auto index = log.index();
  EXPECT_EQ(index->end.records, world->kernel.total());
  for (const ViewFormat& format : Formats()) {
    const Bytes expected = Expected(world, format);
    ASSERT_EQ(index->end.BytesIn(format), expected.size());
    EXPECT_EQ(ReadWith(*index, format, 4096), expected);
  }
}

}  // namespace imasnap

#endif  // IMASNAP_TESTS_WHOLE_LOG_FIXTURE_H_
