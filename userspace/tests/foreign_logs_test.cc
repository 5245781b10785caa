// SPDX-License-Identifier: GPL-2.0-or-later
//
// Logs that kernels wrote: binary and ASCII lists of one boot, a file a bank
// (binary_runtime_measurements_<alg>, ascii_runtime_measurements_<alg>), in the
// directory named by IMA_FOREIGN_LOGS.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "log/log_reader.h"
#include "log/record_format.h"
#include "log/replay.h"
#include "log_builder.h"
#include "replay_record.h"

namespace imasnap {
namespace {

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return std::nullopt;
  }
  return std::string(std::istreambuf_iterator<char>(in), {});
}

class ForeignLogTest : public ::testing::TestWithParam<HashAlg> {
 protected:
  void SetUp() override {
    const char* env = std::getenv("IMA_FOREIGN_LOGS");
    const std::string dir = env != nullptr ? env : IMA_FOREIGN_LOGS_DEFAULT;
    if (dir.empty()) {
      GTEST_SKIP() << "IMA_FOREIGN_LOGS names no directory of foreign logs";
    }
    const std::string alg(HashName(GetParam()));
    auto binary = ReadFile(dir + "/binary_runtime_measurements_" + alg);
    auto ascii = ReadFile(dir + "/ascii_runtime_measurements_" + alg);
    auto sha1 = ReadFile(dir + "/binary_runtime_measurements_sha1");
    if (!binary || !ascii || !sha1) {
      GTEST_SKIP() << dir << " has no lists of bank " << alg;
    }
    binary_ = *binary;
    ascii_ = *ascii;
    sha1_ = *sha1;
  }

  std::string binary_;
  std::string ascii_;
  std::string sha1_;
};

TEST_P(ForeignLogTest, BinaryPrintsAsTheKernelsAscii) {
  SpanSource source(AsBytes(binary_));
  LogReader reader(source, {GetParam()}, "foreign");
  std::string text;
  while (true) {
    auto next = reader.Next();
    ASSERT_TRUE(next.ok()) << next.error().ToString();
    if (*next == nullptr) {
      break;
    }
    AppendAscii(**next, (*next)->digest, &text);
  }
  EXPECT_GT(reader.records(), 0U);
  EXPECT_EQ(text, ascii_);
}

// The SHA-1 list with its digests computed anew is the bank's own list.
TEST_P(ForeignLogTest, Sha1ListConvertsToTheBanksList) {
  SpanSource source(AsBytes(sha1_));
  LogReader reader(source, {}, "foreign");
  Hasher hasher(GetParam());
  Bytes out;
  while (true) {
    auto next = reader.Next();
    ASSERT_TRUE(next.ok()) << next.error().ToString();
    if (*next == nullptr) {
      break;
    }
    AppendBinary(**next, TemplateDigest(**next, &hasher).view(), &out);
  }
  EXPECT_EQ(std::string(AsText(out)), binary_);
}

TEST_P(ForeignLogTest, EveryTruncationIsPlacedAndNoRecordIsInvented) {
  for (size_t n = 0; n < binary_.size(); ++n) {
    SpanSource source(AsBytes(std::string_view(binary_).substr(0, n)));
    LogReader reader(source, {GetParam()}, "foreign");
    while (true) {
      auto next = reader.Next();
      if (!next.ok()) {
        EXPECT_EQ(next.error().code, ErrorCode::kMalformed);
        EXPECT_EQ(next.error().offset, n);
        EXPECT_EQ(next.error().record, reader.records() + 1);
        EXPECT_LT(reader.bytes(), n);
        break;
      }
      if (*next == nullptr) {
        EXPECT_EQ(reader.bytes(), n);
        break;
      }
    }
  }
}

TEST_P(ForeignLogTest, EveryBitFlipFailsOrChangesThePcrs) {
  const auto replay = [](std::string_view log) -> std::optional<std::string> {
    SpanSource source(AsBytes(log));
    LogReader reader(source, {GetParam()}, "foreign");
    Replay pcrs({{.alg = HashAlg::kSha256}});
    while (true) {
      auto next = reader.Next();
      if (!next.ok() ||
          (*next != nullptr && !testing::ReplayRecord(&pcrs, **next, GetParam()).ok())) {
        return std::nullopt;
      }
      if (*next == nullptr) {
        return pcrs.Value(0, 10).Hex();
      }
    }
  };
  const auto good = replay(binary_);
  ASSERT_TRUE(good);
  std::string bad = binary_;
  for (size_t bit = 0; bit < bad.size() * 8; bit += 3) {
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    EXPECT_NE(replay(bad), good) << "bit " << bit;
    bad[bit / 8] = binary_[bit / 8];
  }
}

INSTANTIATE_TEST_SUITE_P(Banks, ForeignLogTest,
                         ::testing::Values(HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSha384),
                         [](const auto& p) { return std::string(HashName(p.param)); });

}  // namespace
}  // namespace imasnap
