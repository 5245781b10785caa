// SPDX-License-Identifier: GPL-2.0-or-later
//
// A log against the digest over PCRs that a quote has, without a TPM; with one:
// quote_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint_fixture.h"
#include "verify/quoted_digest.h"

namespace imasnap {
namespace {

using testing::NgRecord;
using testing::VerifyFrom;
using testing::World;

// Of these PCRs with these values; `given` are those that come with the quote.
QuotedDigest Quote(const PcrSelection& selection, PcrValues values, const PcrValues& given) {
  Bytes all;
  for (const BankSelection& bank : selection) {
    for (const uint32_t pcr : bank.pcrs) {
      AppendBytes(values[bank.name()][pcr].view(), &all);
    }
  }
  CheckedQuote quote;
  quote.attestation.selection = selection;
  const Digest digest = testing::HashOf(HashAlg::kSha256, all);
  quote.attestation.pcr_digest.assign(digest.view().begin(), digest.view().end());
  return QuotedDigest(PcrsOf(quote, given).value());
}

QuotedDigest Quote(const std::string& selection, const PcrValues& values,
                   const PcrValues& given = {}) {
  return Quote(ParsePcrSelection(selection).value(), values, given);
}

void ExpectCannotCheck(World* world, QuotedDigest quote, Cause cause, const std::string& bank,
                       std::optional<uint32_t> pcr) {
  const auto report = world->Verify(&quote);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(report.error().cause, cause) << report.error().message;
  EXPECT_EQ(report.error().bank, bank);
  EXPECT_EQ(report.error().pcr, pcr);
}

TEST(VerifyQuotedTest, MatchesWhereTheLogWasQuoted) {
  World world;
  world.kernel.MeasureFiles(7);
  const uint64_t quoted = world.kernel.total();
  const PcrValues values = world.kernel.Pcrs();
  world.kernel.Measure(NgRecord("/later"));
  for (const bool all_given : {false, true}) {
    QuotedDigest quote = Quote("sha256:10,11+sha1:10,11", values, all_given ? values : PcrValues());
    const auto report = world.Verify(&quote);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    EXPECT_FALSE(report->finding);
    EXPECT_EQ(report->matched_record, quoted);
  }
}

// The values after the first record, before the log extends PCR 11, which no quote
// selects.
TEST(VerifyQuotedTest, ARecordOfAPcrThatIsNotSelectedEndsTheProof) {
  World world;
  const PcrValues values = world.kernel.Pcrs();
  QuotedDigest first = Quote("sha256:10", values);
  ASSERT_EQ(world.Verify(&first)->matched_record, 1U);
  world.kernel.Measure(NgRecord("/claimed", 11));
  QuotedDigest again = Quote("sha256:10", values);
  const auto report = world.Verify(&again);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_EQ(report->matched_record, 1U);
  world.kernel.Measure(NgRecord("/more", 10));
  ExpectCannotCheck(&world, Quote("sha256:10", world.kernel.Pcrs()), Cause::kPcrNotCompared, "",
                    11);
}

TEST(VerifyQuotedTest, PcrThatTheLogDoesNotExtendNeedsItsValue) {
  World world;
  world.kernel.MeasureFiles(3);
  PcrValues values = world.kernel.Pcrs();
  values["sha256"][16] = Digest::Filled(32, std::byte{7});
  ExpectCannotCheck(&world, Quote("sha256:10,16", values), Cause::kPcrValueNeeded, "sha256", 16);
  QuotedDigest given = Quote("sha256:10,16", values, {{"sha256", {{16, values["sha256"][16]}}}});
  EXPECT_EQ(world.Verify(&given)->matched_record, world.kernel.total());
  ExpectCannotCheck(&world, Quote("sha256:16", values, {{"sha256", {{16, values["sha256"][16]}}}}),
                    Cause::kNothingCompared, "", std::nullopt);
}

// An algorithm that is not known here.
TEST(VerifyQuotedTest, BankThatCannotBeReplayedNeedsItsValues) {
  World world;
  world.kernel.MeasureFiles(3);
  PcrSelection selection = ParsePcrSelection("sha256:10").value();
  selection.push_back({.tpm_alg = 0x7f, .pcrs = {10}});
  PcrValues values = world.kernel.Pcrs();
  values["tpm_alg_7f"][10] = Digest::Filled(32, std::byte{7});
  ExpectCannotCheck(&world, Quote(selection, values, {}), Cause::kBankNotReplayed, "tpm_alg_7f",
                    10);
  QuotedDigest given = Quote(selection, values, {{"tpm_alg_7f", {{10, values["tpm_alg_7f"][10]}}}});
  EXPECT_EQ(world.Verify(&given)->matched_record, world.kernel.total());
}

class QuotedCheckpointTest : public testing::CheckpointTest {};

// Nothing was measured since but the aggregate, which the quote does not cover.
TEST_F(QuotedCheckpointTest, AQuoteOfWhereTheStateEndsMatchesThere) {
  PcrValues there;
  for (const Checkpoint::BankState& state : state_.banks) {
    there[std::string(HashName(state.bank.alg))] = state.pcrs;
  }
  for (const bool all_given : {false, true}) {
    QuotedDigest quote = Quote("sha256:10,11", there, all_given ? there : PcrValues());
    const auto report = VerifyFrom(&world_, &quote, &state_);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    EXPECT_FALSE(report->finding);
    EXPECT_EQ(report->matched_record, state_.records);
    ASSERT_TRUE(report->checkpoint);
    EXPECT_EQ(*report->checkpoint, state_);
  }
}

}  // namespace
}  // namespace imasnap
