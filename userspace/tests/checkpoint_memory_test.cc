// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a state keeps of the one before it, when it moves on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint_fixture.h"

namespace imasnap {
namespace {

using testing::CheckpointTest;
using testing::VerifyFrom;

class CheckpointMemoryTest : public CheckpointTest {
 protected:
  // Of a run from state_ after one more snapshot; `identity` is the log's.
  Checkpoint MoveOn(const LogIdentity& identity) {
    Snapshot();
    const Environment env = world_.Env();
    const auto boot_log = OpenBootLog(env);
    EXPECT_TRUE(boot_log.ok());
    const auto report =
        VerifyLog(PartsOf(env, *boot_log), testing::With(&world_.tpm).get(),
                  {.from = &state_, .state_file = testing::kFile, .identity = identity});
    EXPECT_TRUE(report.ok()) << report.error().ToString();
    EXPECT_EQ(report->checkpoint->segment, 3U);
    return *report->checkpoint;
  }
};

// An older quote of any key is a replayed one, also after runs without a quote.
TEST_F(CheckpointMemoryTest, TheLastQuoteOfEachKey) {
  state_.quotes["000b11"] = {.reset_count = 5, .restart_count = 1, .clock = 1000};
  state_.quotes["000b22"] = {.reset_count = 5, .restart_count = 0, .clock = 2000};
  EXPECT_EQ(MoveOn(state_.identity).quotes, state_.quotes);
}

// A copy of the log may come without them.
TEST_F(CheckpointMemoryTest, KeepsWhatTheLogDoesNotHold) {
  ASSERT_TRUE(state_.identity.reset_count);
  ASSERT_FALSE(state_.identity.machine.empty());
  EXPECT_EQ(MoveOn({}).identity, state_.identity);
}

TEST_F(CheckpointMemoryTest, WhatTheLogHoldsForTheFirstTimeIsAdded) {
  const LogIdentity identity = state_.identity;
  state_.identity = {};
  EXPECT_EQ(MoveOn(identity).identity, identity);
}

// The PCRs prove the records up to the aggregate, and none after it.
TEST_F(CheckpointMemoryTest, PcrsExactlyAtABoundaryCoverIt) {
  PcrValues there;
  for (const Checkpoint::BankState& state : state_.banks) {
    there[std::string(HashName(state.bank.alg))] = state.pcrs;
  }
  FixedPcrs at_boundary(there);
  const auto report = VerifyFrom(&world_, &at_boundary, nullptr);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_EQ(report->matched_record, state_.records);
  ASSERT_TRUE(report->checkpoint);
  EXPECT_EQ(*report->checkpoint, state_);
}

}  // namespace
}  // namespace imasnap
