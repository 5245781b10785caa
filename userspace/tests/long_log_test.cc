// SPDX-License-Identifier: GPL-2.0-or-later
//
// verify and cat on a log that is long enough for threads.
#include <gtest/gtest.h>

#include "log/log_reader.h"
#include "log/record_format.h"
#include "world.h"

namespace imasnap {
namespace {

using testing::World;

// A log in which the program starts threads where there are cores for them.
class LongLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    world.kernel.MeasureFiles(9000);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.MeasureFiles(2500);
  }
  World world;
};

TEST_F(LongLogTest, VerifiesAndFindsTheRecordThatWasChanged) {
  ASSERT_TRUE(world.IsWhole());
  const uint64_t record = 4700;
  Bytes& segment = world.fs.Find(world.SegmentPath(1) + ".ima")->data;
  SpanSource source(segment);
  LogReader reader(source, {}, "segment");
  while (reader.records() < record) {
    ASSERT_TRUE(reader.Next().ok());
  }
  segment[reader.bytes() - 2] ^= std::byte{1};  // the name's last letter
  const auto report = world.Verify(&world.tpm);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->record, record);
  EXPECT_EQ(report->finding->segment, 1U);
  EXPECT_EQ(report->finding->bank, "sha1");
  EXPECT_EQ(report->records, record - 1);
}

TEST_F(LongLogTest, IsWrittenAsTheKernelFormatsItInEveryFormat) {
  const Bytes log = world.kernel.Everything();
  Hasher sha256(HashAlg::kSha256);
  for (const uint64_t from : {uint64_t{1}, uint64_t{4750}, uint64_t{9400}}) {
    std::string sha1_text;
    std::string sha256_text;
    Bytes sha1_binary;
    Bytes sha256_binary;
    SpanSource source(log);
    LogReader reader(source, {}, "log");
    while (true) {
      const auto next = reader.Next();
      ASSERT_TRUE(next.ok());
      if (*next == nullptr) {
        break;
      }
      const Record& record = **next;
      if (record.number < from) {
        continue;
      }
      const Digest digest =
          record.IsViolation() ? Digest::Filled(32, std::byte{0}) : TemplateDigest(record, &sha256);
      AppendAscii(record, record.digest, &sha1_text);
      AppendAscii(record, digest.view(), &sha256_text);
      AppendBytes(record.raw, &sha1_binary);
      AppendBinary(record, digest.view(), &sha256_binary);
    }
    const auto cat = [&](bool ascii, HashAlg alg) {
      auto out = world.Cat({.ascii = ascii, .header_alg = alg, .from = from});
      return out.ok() ? *out : Bytes();
    };
    EXPECT_TRUE(AsText(cat(true, HashAlg::kSha1)) == sha1_text);
    EXPECT_TRUE(AsText(cat(true, HashAlg::kSha256)) == sha256_text);
    EXPECT_TRUE(cat(false, HashAlg::kSha1) == sha1_binary);
    EXPECT_TRUE(cat(false, HashAlg::kSha256) == sha256_binary);
  }
}

}  // namespace
}  // namespace imasnap
