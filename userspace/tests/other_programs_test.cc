// SPDX-License-Identifier: GPL-2.0-or-later
//
// The kernel does not have what the store expects: other programs that ignore the lock
// stage and delete records, or the kernel's own counts are wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "kernel/kernel_files.h"
#include "world.h"

namespace imasnap {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::IsNote;
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
  EXPECT_EQ(taken.error().cause, Cause::kStagedDeleted);
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
        return SystemError("/ima/binary_runtime_measurements", "read", ESTALE);
      }
      return reads;
    });
  };
  EXPECT_FALSE(HasHole(SystemError("/store/boots/00000001/00000001.ima", "read", ESTALE)));
  EXPECT_EQ(read(0).value(), 1);
  EXPECT_EQ(read(kReadTries - 1).value(), kReadTries);
  const auto never = read(kReadTries);
  ASSERT_FALSE(never.ok());
  EXPECT_EQ(reads, kReadTries);
  EXPECT_EQ(cuts, 2 * kReadTries - 1);
  EXPECT_EQ(never.error().cause, Cause::kListChanged);
}

// A segment was stored, and recovery saw its records still staged. Then they were
// deleted, and others with the same first bytes were staged.
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
  EXPECT_EQ(taken.error().cause, Cause::kStagedChanged);
  EXPECT_EQ(world.kernel.staged(), 3U);
  ASSERT_TRUE(world.Take().ok());
  EXPECT_TRUE(world.IsWhole());
}

// The kernel deleted the segment, and this was not noticed. The records that are staged
// now have the same size but other content.
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
  EXPECT_EQ(taken.error().cause, Cause::kRecordCount);
  EXPECT_EQ(taken.error().expected, "2");
  EXPECT_EQ(taken.error().found, "5");
  EXPECT_EQ(world.kernel.purges(), 0U);
  world.fs.Restart(/*lose_unsynced=*/true);  // kept, whatever happens
  EXPECT_THAT(world.fs.Names(kBoot1), Contains("00000001.rejected.1"));
}

// Two segments without records have the same hash. The attempt shows if another client
// took a snapshot in between.
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
  Notes notes;
  ASSERT_TRUE(TakeSnapshot(other, false, &notes).ok());
  ASSERT_TRUE(world.Take().ok());
  EXPECT_THAT(world.notes, Contains(IsNote(NoteKind::kNotContinued, 3)));
}

}  // namespace
}  // namespace imasnap
