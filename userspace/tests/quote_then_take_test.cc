// SPDX-License-Identifier: GPL-2.0-or-later
//
// quote --then-take: the segments alone have the log of the quote.
#include <gtest/gtest.h>

#include "quote_fixture.h"

namespace imasnap::cli {
namespace {

using imasnap::testing::kStore;

class QuoteThenTakeTest : public QuoteTest {
 protected:
  void SetUp() override {
    QuoteTest::SetUp();
    if (!IsSkipped()) {
      ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
      Measure(3);
    }
  }
  Ran Quote(const std::vector<std::string>& more) {
    std::vector<std::string> args = {"quote", "--nonce", kNonce, "--out", "/q"};
    args.insert(args.end(), more.begin(), more.end());
    return RunJson(args);
  }
  Ran VerifySegments() { return Verify("ak.pub", "/q", {"--from-dir", kStore}); }
};

TEST_F(QuoteThenTakeTest, TheSegmentsAloneAnswerTheQuote) {
  Ran ran = Quote({"--then-take"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["segment"]["segment"], 1);
  EXPECT_EQ(ran.json["segment"]["last_record"], 4);
  EXPECT_EQ(ran.json["session"], 1);
  ran = VerifySegments();
  EXPECT_EQ(ran.code, 0) << ran.err;

  // Without the option the quote has records that only the kernel has.
  Extend();
  ASSERT_EQ(Quote({}).code, 0);
  ran = VerifySegments();
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "pcr_digest");
}

TEST_F(QuoteThenTakeTest, WithoutAQuoteNothingIsTaken) {
  const Bytes before = world_.kernel.InMemory();
  EXPECT_EQ(Quote({"--then-take", "--pcrs", "sha256:0", "--nonce", std::string(128, 'a')}).code, 2);
  tpm_.Stop();
  EXPECT_EQ(Quote({"--then-take", "--pcrs", "sha256:10"}).code, 4);
  EXPECT_EQ(world_.kernel.InMemory(), before);
}

TEST_F(QuoteThenTakeTest, WithoutASnapshotNoQuoteIsWritten) {
  world_.kernel.has_snapshot_file = false;
  EXPECT_EQ(Quote({"--then-take"}).code, 1);
  EXPECT_FALSE(world_.fs.Read("/q/quote.msg"));
}

TEST_F(QuoteThenTakeTest, AConfigurationThatOnlyMarksIsAUsageError) {
  const Bytes before = world_.kernel.InMemory();
  world_.fs.MakeAll("/etc");
  world_.fs.Write("/etc/mark.conf", "mode = \"mark\"\n");
  EXPECT_EQ(Quote({"--then-take", "--config", "/etc/mark.conf"}).code, 2);
  EXPECT_EQ(world_.kernel.InMemory(), before);
}

TEST_F(QuoteThenTakeTest, AFileThatCannotBeReplacedIsRefusedBeforeTheSnapshot) {
  const Bytes before = world_.kernel.InMemory();
  world_.fs.MakeAll("/q/quote.sig");
  const Ran ran = Quote({"--then-take"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.error["cause"], "not_regular_file");
  EXPECT_EQ(world_.kernel.InMemory(), before);
}

}  // namespace
}  // namespace imasnap::cli
