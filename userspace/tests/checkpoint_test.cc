// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint_fixture.h"
#include "tampering.h"
#include "verify/seen_quotes.h"

namespace imasnap {
namespace {

using testing::CheckpointTest;
using testing::kFile;
using testing::VerifyFrom;
using testing::World;

TEST_F(CheckpointTest, LiesAtTheLastAggregateThatBeginsAPart) {
  const Bytes all = world_.kernel.Everything();
  const SegmentInfo info = world_.Env().store().Load(1)->segments.back().info.value();
  EXPECT_EQ(state_.segment, 2U);
  EXPECT_EQ(state_.attempt, 2U);
  EXPECT_EQ(state_.records, info.last_record);
  EXPECT_EQ(state_.segment_sha256, info.sha256);
  EXPECT_EQ(state_.aggregates, 1U);
  EXPECT_EQ(state_.violations, 3U);
  EXPECT_EQ(state_.identity.machine, world_.identity.machine);
  EXPECT_EQ(state_.identity.boot, world_.identity.boot);
  EXPECT_EQ(state_.identity.reset_count, 5U);
  ASSERT_EQ(state_.banks.size(), 2U);
  for (const Checkpoint::BankState& state : state_.banks) {
    const auto bank = std::ranges::find_if(info.banks, [&state](const auto& listed) {
      return listed.name == HashName(state.bank.alg);
    });
    ASSERT_NE(bank, info.banks.end());
    ASSERT_EQ(state.pcrs.size(), 2U);
    EXPECT_EQ(state.pcrs.at(10), bank->pcrs.at(10));
    EXPECT_EQ(state.pcrs.at(11), bank->pcrs.at(11));
  }
}

TEST_F(CheckpointTest, NextRunReadsOnlyWhatIsNewAndAgreesWithAFullOne) {
  for (int i = 0; i < 3; ++i) {
    // What was verified before is not read, so that damage to it is not seen.
    testing::FlipByte(&world_, 1, 200);
    testing::FlipByte(&world_, 2, 10);
    const Checkpoint before = state_;
    auto report = VerifyFrom(&world_, &world_.tpm, &before);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    ASSERT_FALSE(report->finding) << report->finding->ToError().ToString();
    EXPECT_EQ(report->records_before, before.records);
    EXPECT_EQ(report->records, world_.kernel.total());
    EXPECT_EQ(report->matched_record, world_.kernel.total());
    testing::FlipByte(&world_, 1, 200);
    testing::FlipByte(&world_, 2, 10);
    auto full = VerifyFrom(&world_, &world_.tpm, nullptr);
    ASSERT_TRUE(full.ok());
    EXPECT_EQ(report->checkpoint, full->checkpoint);
    EXPECT_EQ(report->violations, full->violations);
    EXPECT_EQ(report->aggregates, full->aggregates);
    EXPECT_EQ(report->segments, full->segments);
    EXPECT_EQ(report->live_records, full->live_records);
    state_ = *report->checkpoint;
    Snapshot();
  }
  EXPECT_EQ(state_.segment, 4U);
}

TEST_F(CheckpointTest, DamageToWhatIsNewIsFoundFromAState) {
  Snapshot();
  testing::FlipByte(&world_, 3, 4);
  auto report = VerifyFrom(&world_, &world_.tpm, &state_);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->segment, 3U);
  EXPECT_EQ(report->finding->record, state_.records + 1);
  EXPECT_FALSE(report->checkpoint);
}

// Staging records no aggregate: the state lies where the last segment ended.
TEST(StagedCheckpointTest, NextRunReadsOnlyWhatIsNew) {
  World world(testing::Kind::kStaging);
  for (int i = 0; i < 2; ++i) {
    world.kernel.MeasureFiles(8);
    ASSERT_TRUE(world.Take().ok());
  }
  world.kernel.MeasureFiles(3);
  auto first = VerifyFrom(&world, &world.tpm, nullptr);
  ASSERT_TRUE(first.ok()) << first.error().ToString();
  ASSERT_TRUE(first->checkpoint);
  const Checkpoint state = *first->checkpoint;
  EXPECT_EQ(state.attempt, kNoAttempt);
  EXPECT_EQ(state.segment, 2U);
  EXPECT_EQ(state.records, first->records - first->live_records);

  world.kernel.MeasureFiles(8);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  testing::FlipByte(&world, 1, 200);  // is not read again
  auto next = VerifyFrom(&world, &world.tpm, &state);
  ASSERT_TRUE(next.ok()) << next.error().ToString();
  ASSERT_FALSE(next->finding) << next->finding->ToError().ToString();
  EXPECT_EQ(next->records_before, state.records);
  EXPECT_EQ(next->matched_record, world.kernel.total());
  ASSERT_TRUE(next->checkpoint);
  EXPECT_EQ(next->checkpoint->segment, 3U);

  testing::FlipByte(&world, 3, 4);
  auto damaged = VerifyFrom(&world, &world.tpm, &state);
  ASSERT_TRUE(damaged.ok());
  ASSERT_TRUE(damaged->finding);
  EXPECT_EQ(damaged->finding->segment, 3U);
  EXPECT_EQ(damaged->finding->record, state.records + 1);
}

// The kernel measures a file after its empty list was read to the end.
class MeasuringTpm : public testing::FakeTpm {
 public:
  explicit MeasuringTpm(testing::FakeKernel* kernel) : FakeTpm(kernel), kernel_(kernel) {}
  Result<PcrValues> Read(const std::vector<uint32_t>& pcrs) override {
    if (!pcrs.empty() && !measured_) {  // else it only asks for the banks
      measured_ = true;
      kernel_->MeasureFiles(1);
    }
    return FakeTpm::Read(pcrs);
  }

 private:
  testing::FakeKernel* kernel_;
  bool measured_ = false;
};

TEST(StagedCheckpointTest, ARecordThatFollowsAnEmptyListLeavesTheBoundary) {
  World world(testing::Kind::kStaging);
  world.kernel.MeasureFiles(8);
  ASSERT_TRUE(world.Take().ok());
  MeasuringTpm tpm(&world.kernel);
  const auto first = VerifyFrom(&world, &tpm, nullptr);
  ASSERT_TRUE(first.ok()) << first.error().ToString();
  EXPECT_EQ(first->live_records, 1U);
  ASSERT_TRUE(first->checkpoint);
  EXPECT_EQ(first->checkpoint->segment_sha256, world.Info(1).sha256);
  const auto next = VerifyFrom(&world, &world.tpm, &*first->checkpoint);
  ASSERT_TRUE(next.ok()) << next.error().ToString();
  EXPECT_FALSE(next->finding);
  EXPECT_EQ(next->records_before, world.kernel.total() - 1);
}

TEST_F(CheckpointTest, WithoutPcrsFromOutsideThereIsNoCheckpoint) {
  auto report = VerifyFrom(&world_, nullptr, &state_);
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->finding);
  EXPECT_FALSE(report->checkpoint);
}

TEST_F(CheckpointTest, IsNeverPastTheRecordThatThePcrsCover) {
  FixedPcrs then(world_.kernel.Pcrs());
  Snapshot();
  Snapshot();
  auto report = VerifyFrom(&world_, &then, nullptr);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->checkpoint);
  EXPECT_EQ(*report->checkpoint, state_);
  // From the state the same PCRs match again, and move nothing.
  report = VerifyFrom(&world_, &then, &state_);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->checkpoint);
  EXPECT_EQ(*report->checkpoint, state_);
}

TEST_F(CheckpointTest, PcrsAtTheBoundaryMatchAndOlderOnesAreAMismatchThatSaysWhy) {
  PcrValues there;
  for (const Checkpoint::BankState& state : state_.banks) {
    there[std::string(HashName(state.bank.alg))] = state.pcrs;
  }
  FixedPcrs at_boundary(there);
  auto report = VerifyFrom(&world_, &at_boundary, &state_);
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->finding);
  EXPECT_EQ(report->matched_record, state_.records);
  const SegmentInfo first = world_.Env().store().Load(1)->segments.front().info.value();
  PcrValues old;
  for (const Aggregate::BankValues& bank : first.banks) {
    old[bank.name] = bank.pcrs;
  }
  FixedPcrs older(old);
  ASSERT_FALSE(VerifyFrom(&world_, &older, nullptr)->finding);
  report = VerifyFrom(&world_, &older, &state_);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->cause, Cause::kPcrMismatch);
  EXPECT_EQ(report->finding->state_end, state_.records);
}

TEST_F(CheckpointTest, WithoutASnapshotItIsTheBeginning) {
  World world;
  world.kernel.MeasureFiles(4);
  auto report = VerifyFrom(&world, &world.tpm, nullptr);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->checkpoint);
  const Checkpoint first = *report->checkpoint;
  EXPECT_EQ(first.records, 0U);
  EXPECT_TRUE(ParseCheckpoint(FormatCheckpoint(first), kFile).ok());
  ASSERT_TRUE(world.Take().ok());
  report = VerifyFrom(&world, &world.tpm, &first);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_EQ(report->records_before, 0U);
  EXPECT_EQ(report->checkpoint->segment, 1U);
  world.ColdBoot(6);
  report = VerifyFrom(&world, &world.tpm, &first);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().cause, Cause::kOtherBoot);
}

TEST_F(CheckpointTest, OfAnotherMachineBootOrSessionIsRefused) {
  Checkpoint other = state_;
  other.identity.machine[0] = 'c';
  EXPECT_EQ(ExpectRefused(other, Cause::kOtherMachine).found, other.identity.machine);
  other = state_;
  other.identity.boot[0] = 'c';
  EXPECT_EQ(ExpectRefused(other, Cause::kOtherBoot).found, other.identity.boot);
  other = state_;
  other.identity.reset_count = 4;
  const Error reset = ExpectRefused(other, Cause::kOtherBoot);
  EXPECT_EQ(reset.found, "4");
  EXPECT_EQ(reset.expected, "5");
  other = state_;
  other.identity.created = "2026-01-02T03:04:06Z";
  EXPECT_EQ(ExpectRefused(other, Cause::kOtherSession).found, other.identity.created);
  other = state_;
  other.first_record.bytes[0] ^= std::byte{1};
  ExpectRefused(other, Cause::kOtherLog);
  other = state_;
  other.aggregate.bytes[0] ^= std::byte{1};
  EXPECT_EQ(ExpectRefused(other, Cause::kStateAggregate).found, kAggregateEvent);
}

TEST_F(CheckpointTest, AfterARebootItIsRefusedAlsoWithoutATpm) {
  world_.ColdBoot(std::nullopt);
  world_.kernel.MeasureFiles(3);
  EXPECT_EQ(ExpectRefused(state_, Cause::kStateAggregate).found, "boot_aggregate");
  ASSERT_TRUE(world_.Take().ok());
  ASSERT_TRUE(world_.Take().ok());
  ASSERT_TRUE(world_.Take().ok());
  Checkpoint same_session = state_;
  same_session.identity = {};
  EXPECT_EQ(ExpectRefused(same_session, Cause::kStateAggregate).found, kAggregateEvent);
}

TEST_F(CheckpointTest, AheadOfALogThatShrankIsRefused) {
  World other;
  other.kernel.MeasureFiles(8);
  ASSERT_TRUE(other.Take().ok());
  auto report = VerifyFrom(&other, &other.tpm, &state_);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(report.error().cause, Cause::kStateAggregate);
  // A copy of the log that ends before the state.
  const BootLog boot_log = std::move(*OpenBootLog(world_.Env()));
  std::vector<LogPart> parts = PartsOf(world_.Env(), boot_log);
  parts.pop_back();
  report = VerifyLog(parts, nullptr, {.from = &state_, .state_file = kFile});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(report.error().cause, Cause::kStateAhead);
}

TEST_F(CheckpointTest, OtherPcrsInItAreAMismatchAtTheAggregate) {
  for (size_t bank = 0; bank < 2; ++bank) {
    for (uint32_t pcr : {10U, 11U}) {
      Checkpoint other = state_;
      other.banks[bank].pcrs[pcr].bytes[5] ^= std::byte{1};
      auto report = VerifyFrom(&world_, &world_.tpm, &other);
      ASSERT_TRUE(report.ok());
      ASSERT_TRUE(report->finding);
      EXPECT_EQ(report->finding->bank, HashName(state_.banks[bank].bank.alg));
      EXPECT_EQ(report->finding->pcr, pcr);
      EXPECT_EQ(report->finding->record, state_.records + 1);
      EXPECT_EQ(report->finding->expected, state_.banks[bank].pcrs[pcr].Hex());
      EXPECT_EQ(report->finding->found, other.banks[bank].pcrs[pcr].Hex());
      EXPECT_EQ(report->finding->cause, Cause::kStatePcr);
    }
  }
}

TEST_F(CheckpointTest, OtherCountsInItAreAMismatchToo) {
  Checkpoint other = state_;
  ++other.records;
  auto report = VerifyFrom(&world_, &world_.tpm, &other);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->finding);
  other = state_;
  ++other.attempt;
  report = VerifyFrom(&world_, &world_.tpm, &other);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->finding);
  other = state_;
  other.segment_sha256.bytes[0] ^= std::byte{1};
  report = VerifyFrom(&world_, &world_.tpm, &other);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->finding);
}

TEST_F(CheckpointTest, WithoutABankOfTheLogIsRefused) {
  Checkpoint other = state_;
  other.banks.pop_back();
  EXPECT_EQ(ExpectRefused(other, Cause::kStateBank).bank, "sha256");
}

TEST_F(CheckpointTest, SegmentMissingBeforeTheBoundaryIsAMismatch) {
  for (uint64_t number : {1U, 2U}) {
    World world;
    testing::Fill(&world);
    const Checkpoint state = VerifyFrom(&world, &world.tpm, nullptr)->checkpoint.value();
    world.fs.Remove(world.SegmentPath(number) + ".ima");
    auto report = VerifyFrom(&world, &world.tpm, &state);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    ASSERT_TRUE(report->finding);
    EXPECT_EQ(report->finding->segment, number);
    world.fs.Remove(world.SegmentPath(number) + ".json");
    report = VerifyFrom(&world, &world.tpm, &state);
    ASSERT_TRUE(report.ok());
    ASSERT_TRUE(report->finding);
    EXPECT_EQ(report->finding->segment, number);
  }
}

TEST_F(CheckpointTest, SegmentMissingRightBehindTheBoundaryIsAMismatch) {
  Snapshot();
  Snapshot();
  for (const char* suffix : {".ima", ".json"}) {
    world_.fs.Remove(world_.SegmentPath(3) + suffix);
    const auto report = VerifyFrom(&world_, &world_.tpm, &state_);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    ASSERT_TRUE(report->finding);
    EXPECT_EQ(report->finding->segment, 3U);
    EXPECT_FALSE(report->checkpoint);
  }
}

TEST_F(CheckpointTest, LastSegmentMissingIsAMismatch) {
  testing::Drop(&world_, 2);
  auto report = VerifyFrom(&world_, &world_.tpm, &state_);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->segment, 2U);
}

TEST_F(CheckpointTest, SegmentStoredButNotPurgedMovesNothing) {
  world_.kernel.MeasureFiles(2);
  world_.TakeUnpurged(ESHUTDOWN);
  auto report = VerifyFrom(&world_, &world_.tpm, &state_);
  ASSERT_TRUE(report.ok());
  ASSERT_FALSE(report->finding) << report->finding->message;
  EXPECT_EQ(*report->checkpoint, state_);
  ASSERT_TRUE(world_.Take().ok());  // supersedes it
  report = VerifyFrom(&world_, &world_.tpm, &state_);
  ASSERT_TRUE(report.ok());
  ASSERT_FALSE(report->finding) << report->finding->message;
  EXPECT_EQ(report->checkpoint->segment, 4U);
}

TEST_F(CheckpointTest, QuoteOlderThanTheLastOfItsKeyIsReplayed) {
  const QuoteSeen last = {.reset_count = 7, .restart_count = 1, .clock = 1000};
  state_.quotes["key"] = last;
  const auto check = [this](const QuoteSeen& said, const std::string& key, bool ignore) {
    return CheckNotReplayed(state_, {.ak = key,
                                     .said = said,
                                     .file = "quote",
                                     .state_file = "/state",
                                     .ignore_reset_count = ignore});
  };
  EXPECT_TRUE(check({}, "other key", false).ok());
  for (const QuoteSeen& good : {last, QuoteSeen{7, 1, 1001}, QuoteSeen{7, 2, 1001}}) {
    EXPECT_TRUE(check(good, "key", false).ok());
    EXPECT_TRUE(check(good, "key", true).ok());
  }
  for (const QuoteSeen& bad :
       {QuoteSeen{6, 1, 2000}, QuoteSeen{7, 1, 999}, QuoteSeen{7, 0, 2000}}) {
    const Status status = check(bad, "key", false);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kMismatch);
    EXPECT_EQ(status.error().cause, Cause::kQuoteReplayed);
    EXPECT_EQ(status.error().file, "quote");
    EXPECT_FALSE(status.error().expected.empty());
    EXPECT_FALSE(status.error().found.empty());
    EXPECT_EQ(check(bad, "key", true).ok(), bad.reset_count != last.reset_count);
  }
  // The quote is of a later boot, so the state is old.
  const Status later = check({8, 0, 10}, "key", false);
  ASSERT_FALSE(later.ok());
  EXPECT_EQ(later.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(later.error().cause, Cause::kStateOld);
  EXPECT_EQ(later.error().file, "/state");
  // After TPM2_Clear all counters begin at zero.
  EXPECT_TRUE(check({0, 0, 10}, "key", true).ok());
}

TEST_F(CheckpointTest, WhatAStoreSaysOfItselfIsEscapedInMessages) {
  const auto is_printable = [](const std::string& text) {
    return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
  };
  state_.identity.machine = "m\x1b[2J";
  Error error = ExpectRefused(state_, Cause::kOtherMachine);
  EXPECT_EQ(error.found, "m\\x1b[2J");
  EXPECT_TRUE(is_printable(error.message)) << error.message;
  state_.identity = {};
  state_.identity.created = "\n";
  error = ExpectRefused(state_, Cause::kOtherSession);
  EXPECT_EQ(error.found, "\\x0a");
  EXPECT_TRUE(is_printable(error.message)) << error.message;
}

}  // namespace
}  // namespace imasnap
