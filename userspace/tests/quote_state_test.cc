// SPDX-License-Identifier: GPL-2.0-or-later
//
// Quotes that are verified with a state.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quote_fixture.h"

namespace imasnap::cli {
namespace {

class QuoteStateTest : public QuoteTest {};

// It is neither newer than the log nor of another one.
TEST_F(QuoteStateTest, QuoteFromBeforeTheStateIsSaidToBeOld) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  Measure(13);
  ASSERT_EQ(MakeQuote("ak", "/old").code, 0);
  Measure(2);
  ASSERT_EQ(Run({"take"}).code, 0);
  Measure(2);
  ASSERT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 0);
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{}, {"--pcrs", "/old/quote.pcrs.txt"}}) {
    std::vector<std::string> args = more;
    EXPECT_EQ(Verify("ak.pub", "/old", args).code, 0);
    args.insert(args.end(), {"--state", "/state"});
    const Ran ran = Verify("ak.pub", "/old", args);
    EXPECT_EQ(ran.code, 3);
    EXPECT_EQ(ran.error["cause"], more.empty() ? "pcr_digest" : "pcr_mismatch");
    EXPECT_EQ(ran.json["mismatch"]["state_end"], 16);
  }
}

// Power is lost in a suspend: the PCRs begin anew, and resetCount stays (TPM Restart).
TEST_F(QuoteStateTest, AfterAnAbortedSuspendTheStateDistinguishesTheBoots) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  ASSERT_EQ(MakeQuote("ak", "/earlier").code, 0);
  const auto count = world_.reset_count;
  MustRun({"tpm2_shutdown"});
  Reboot();
  ASSERT_EQ(world_.reset_count, count);
  EXPECT_EQ(Verify("ak.pub", "/earlier").code, 0);  // the same first record
  ASSERT_EQ(MakeQuote("ak", "/now").code, 0);
  const Ran now = Verify("ak.pub", "/now", {"--state", "/state"});
  ASSERT_EQ(now.code, 0) << now.err;
  const Ran ran = Verify("ak.pub", "/earlier", {"--state", "/state"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "quote_replayed");
  const auto& clock = now.json["quote"]["clock"];
  EXPECT_EQ(clock["restart_count"], 1);
  EXPECT_EQ(ran.error["expected"],
            fmt::format("at least restart count 1, clock {}", clock["clock"].get<uint64_t>()));
}

}  // namespace
}  // namespace imasnap::cli
