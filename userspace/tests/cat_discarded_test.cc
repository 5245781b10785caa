// SPDX-License-Identifier: GPL-2.0-or-later
//
// A log whose beginning was discarded. `cat` can start at any remaining record, in any
// format.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint_fixture.h"
#include "verify/discard.h"

namespace imasnap {
namespace {

class CatDiscardedTest : public testing::CheckpointTest {};

TEST_F(CatDiscardedTest, IsWrittenAsBeforeFromEachRecordThatIsLeft) {
  std::vector<CatOptions> all;
  for (const bool ascii : {false, true}) {
    for (const HashAlg alg : {HashAlg::kSha1, HashAlg::kSha256}) {
      for (uint64_t from = 1; from <= world_.kernel.total() + 1; ++from) {
        CatOptions& options = all.emplace_back();
        options.ascii = ascii;
        options.header_alg = alg;
        options.from = from;
      }
    }
  }
  std::vector<Bytes> before;
  for (const CatOptions& options : all) {
    before.push_back(world_.Cat(options).value());
  }
  world_.config.discard = Discard::kVerified;
  GcResult done;
  ASSERT_TRUE(CollectGarbage(world_.Env(), state_, testing::kFile, &done).ok());
  ASSERT_EQ(done.discarded.size(), 1U);
  const uint64_t last = done.discarded[0].last_record;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto now = world_.Cat(all[i]);
    ASSERT_EQ(now.ok(), all[i].from > last) << all[i].from;
    if (now.ok()) {
      EXPECT_EQ(*now, before[i]) << all[i].from;
    }
  }
}

}  // namespace
}  // namespace imasnap
