// SPDX-License-Identifier: GPL-2.0-or-later
//
// States of a log with segments of both kinds: a kernel with the snapshot file,
// and records that another program left staged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint_fixture.h"

namespace imasnap {
namespace {

using testing::VerifyFrom;
using testing::World;

class MixedCheckpointTest : public ::testing::Test {
 protected:
  // Segments 1 and 2 are by the snapshot file, 3 is from records that were left staged.
  // The state is after segment 3.
  void SetUp() override {
    world_.kernel.has_staging = true;
    for (int i = 0; i < 2; ++i) {
      world_.kernel.MeasureFiles(8);
      ASSERT_TRUE(world_.Take().ok());
    }
    world_.kernel.MeasureFiles(3);
    ASSERT_EQ(world_.kernel.Stage(), 0);
    ASSERT_TRUE(world_.Repair().ok());
    world_.kernel.MeasureFiles(2);
    const auto report = VerifyFrom(&world_, &world_.tpm, nullptr);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    ASSERT_FALSE(report->finding) << report->finding->ToError().ToString();
    ASSERT_TRUE(report->checkpoint);
    state_ = *report->checkpoint;
    ASSERT_EQ(state_.segment, 3U);
    ASSERT_EQ(state_.attempt, kNoAttempt);
    ASSERT_EQ(state_.aggregates, 2U);
  }

  World world_;
  Checkpoint state_;
};

TEST_F(MixedCheckpointTest, AttemptsGoOnWhereTheStateEndsAtAStagedSegment) {
  for (int i = 0; i < 2; ++i) {
    world_.kernel.MeasureFiles(5);
    ASSERT_TRUE(world_.Take().ok());
    const auto report = VerifyFrom(&world_, &world_.tpm, &state_);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    ASSERT_FALSE(report->finding) << report->finding->ToError().ToString();
    const auto full = VerifyFrom(&world_, &world_.tpm, nullptr);
    ASSERT_TRUE(full.ok());
    EXPECT_EQ(report->records_before, state_.records);
    EXPECT_EQ(report->aggregates, full->aggregates);
    EXPECT_EQ(report->checkpoint, full->checkpoint);
  }
}

TEST_F(MixedCheckpointTest, ThatNothingWasTakenSinceChangesNoCount) {
  world_.kernel.MeasureFiles(5);
  const auto report = VerifyFrom(&world_, &world_.tpm, &state_);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  ASSERT_FALSE(report->finding) << report->finding->ToError().ToString();
  EXPECT_EQ(report->aggregates, 2U);
  ASSERT_TRUE(report->checkpoint);
  EXPECT_EQ(*report->checkpoint, state_);
}

// No aggregate proves where it ends: the segment's SHA-256 must be the one verified.
TEST_F(MixedCheckpointTest, AtAStagedSegmentOfOtherBytesItIsRefused) {
  for (const bool described : {true, false}) {
    Checkpoint other = state_;
    if (described) {
      other.segment_sha256.bytes[0] ^= std::byte{1};
    } else {
      world_.fs.Remove(world_.SegmentPath(3) + ".json");
    }
    const auto report = VerifyFrom(&world_, &world_.tpm, &other);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, ErrorCode::kCannotCheck);
    EXPECT_EQ(report.error().cause, Cause::kStateSegment);
    EXPECT_EQ(report.error().segment, 3U);
  }
}

// An aggregate that was recorded right after staged records were deleted closes none
// of them: its Segment_Hash is that of no bytes.
TEST_F(MixedCheckpointTest, AMarkerRightBehindAStagedSegmentIsABoundaryToo) {
  ASSERT_EQ(world_.kernel.Stage(), 0);
  ASSERT_TRUE(world_.Repair().ok());
  ASSERT_TRUE(world_.Take(/*mark=*/true).ok());
  auto report = VerifyFrom(&world_, &world_.tpm, &state_);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  ASSERT_FALSE(report->finding) << report->finding->ToError().ToString();
  const Checkpoint marked = *report->checkpoint;
  EXPECT_EQ(marked.segment, 4U);
  EXPECT_EQ(marked.attempt, 3U);
  EXPECT_EQ(marked.aggregates, 2U);
  world_.kernel.MeasureFiles(4);
  ASSERT_TRUE(world_.Take().ok());
  for (const Checkpoint* from : std::vector<const Checkpoint*>{&state_, &marked}) {
    report = VerifyFrom(&world_, &world_.tpm, from);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    ASSERT_FALSE(report->finding) << report->finding->ToError().ToString();
    const auto full = VerifyFrom(&world_, &world_.tpm, nullptr);
    EXPECT_EQ(report->aggregates, full->aggregates);
    EXPECT_EQ(report->checkpoint, full->checkpoint);
  }
}

}  // namespace
}  // namespace imasnap
