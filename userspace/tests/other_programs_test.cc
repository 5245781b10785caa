// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the kernel holds is not what the store expects: other programs, that keep to
// no lock, stage and delete, or the kernel's own counts are wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "kernel/kernel_log.h"
#include "world.h"

namespace imasnap {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kBoot1;
using testing::Kind;
using testing::NgRecord;
using testing::Violation;
using testing::World;

// Does `what` before the first call of this name.
void Before(World* world, const std::string& name, const std::function<void()>& what) {
  world->fs.on_call = [world, name, what](const std::string& call) {
    if (call == name) {
      world->fs.on_call = {};
      what();
    }
  };
}

TEST(OtherProgramsTest, StagedRecordsThatGoBeforeTheyAreReadAreNoSegment) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  ASSERT_EQ(world.kernel.Stage(), 0);
  Before(&world, "open " + world.SegmentPath(1) + ".ima.tmp",
         [&world] { EXPECT_EQ(world.kernel.DeleteStaged(), 0); });
  const auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message, HasSubstr("another program deleted what was staged"));
  EXPECT_THAT(world.fs.Names(kBoot1), ElementsAre("session.json"));
}

// The kernel's own promise, which what follows relies on.
TEST(OtherProgramsTest, PurgeUnderAReaderIsReportedOnce) {
  World world;
  world.kernel.MeasureFiles(5);
  const std::string name = "binary_runtime_measurements";
  std::unique_ptr<File> began = std::move(*world.kernel.Open(name, name, false));
  std::unique_ptr<File> fresh = std::move(*world.kernel.Open(name, name, false));
  std::unique_ptr<File> ended = std::move(*world.kernel.Open(name, name, false));
  Bytes buffer(1000);
  ASSERT_GT(began->ReadSome(buffer).value(), 0U);
  while (ended->ReadSome(buffer).value() > 0) {
  }
  ASSERT_TRUE(world.Take().ok());
  const auto hole = began->ReadSome(buffer);
  ASSERT_FALSE(hole.ok());
  EXPECT_TRUE(HasHole(hole.error()));
  for (const auto& file : {began.get(), fresh.get(), ended.get()}) {
    size_t bytes = 0;
    while (const size_t got = file->ReadSome(buffer).value()) {
      bytes += got;
    }
    EXPECT_EQ(bytes, world.kernel.InMemory().size());
  }
}

TEST(OtherProgramsTest, ListThatIsCutWhileItIsReadIsReadAgain) {
  int reads = 0;
  int cuts = 0;
  const auto read = [&](int cut_first) {
    reads = 0;
    return ReadAgainIfCut([&]() -> Result<int> {
      if (++reads <= cut_first) {
        ++cuts;
        return SystemError("/list", "read", ESTALE);
      }
      return reads;
    });
  };
  EXPECT_EQ(read(0).value(), 1);
  EXPECT_EQ(read(kReadTries - 1).value(), kReadTries);
  const auto never = read(kReadTries);
  ASSERT_FALSE(never.ok());
  EXPECT_EQ(reads, kReadTries);
  EXPECT_EQ(cuts, 2 * kReadTries - 1);
  EXPECT_THAT(never.error().message, HasSubstr("records are removed from the list while it is"));
}

// A segment was stored and its records are still staged; they were deleted and others
// staged, which begin with the same bytes, after that was seen.
TEST(OtherProgramsTest, OnlyTheSegmentsOwnRecordsAreDeleted) {
  World world(Kind::kStaging);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.Measure(Violation("/same"));
  world.TakeUnpurged(EIO);
  Before(&world, "open " + world.SegmentPath(2) + ".ima", [&world] {
    ASSERT_EQ(world.kernel.DeleteStaged(), 0);
    world.kernel.Measure(Violation("/same"));
    world.kernel.MeasureFiles(2);
    ASSERT_EQ(world.kernel.Stage(), 0);
  });
  const auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message, HasSubstr("changed by another program meanwhile"));
  EXPECT_EQ(world.kernel.staged(), 3U);
  ASSERT_TRUE(world.Take().ok());
  EXPECT_TRUE(world.IsWhole());
}

// The kernel deleted the segment and nobody saw it. What is staged now has as many
// bytes, and other ones.
TEST(OtherProgramsTest, RecordsOfTheSegmentsSizeAreNotTheSegments) {
  World world(Kind::kStaging);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.Measure(NgRecord("/one"));
  world.DieBefore("open " + world.SegmentPath(2) + ".json.tmp", 1);
  ASSERT_EQ(world.kernel.in_memory(), 0U);
  world.kernel.Measure(NgRecord("/two"));
  ASSERT_EQ(world.kernel.Stage(), 0);
  EXPECT_TRUE(world.IsWhole());
  ASSERT_TRUE(world.Take().ok());
  EXPECT_TRUE(world.IsWhole());
}

// An aggregate that counts fewer records than the segment alone has.
TEST(OtherProgramsTest, SegmentThatItsAggregateCountsShortIsRejected) {
  World world;
  world.kernel.MeasureFiles(4);
  world.kernel.not_counted = 3;
  const auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(taken.error().message, HasSubstr("Record_Count of attempt 1 is 2"));
  EXPECT_EQ(world.kernel.purges(), 0U);
  world.fs.Restart(/*lose_unsynced=*/true);  // kept, whatever happens
  EXPECT_THAT(world.fs.Names(kBoot1), Contains("00000001.rejected.1"));
}

// Two segments without records have the same hash: whether another client's snapshot
// came in between is told by the attempt.
TEST(OtherProgramsTest, AggregateOfAnotherAttemptClosedNoSegmentOfThisStore) {
  World world;
  world.kernel.has_staging = true;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  ASSERT_EQ(world.kernel.Stage(), 0);
  const auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  ASSERT_EQ(taken->segment->records, 0U);
  ASSERT_EQ(world.kernel.Stage(), 0);
  ASSERT_EQ(world.kernel.DeleteStaged(), 0);
  Environment other = world.Env();
  other.config.store = "/var/lib/other";
  other.config.allow_gap = true;
  std::vector<std::string> notes;
  ASSERT_TRUE(TakeSnapshot(other, false, &notes).ok());
  ASSERT_TRUE(world.Take().ok());
  EXPECT_THAT(world.notes, Contains(HasSubstr("does not go on from segment 00000003")));
}

}  // namespace
}  // namespace imasnap
