// SPDX-License-Identifier: GPL-2.0-or-later
//
// Snapshots by staging: what the kernel refuses, what others leave, what the
// commands see. The faults are in snapshot_test.cc, for both kinds of kernel.
#include "snapshot/staging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>

#include "world.h"

namespace imasnap {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::IsNote;
using testing::kBoot1;
using testing::Kind;
using testing::kStore;
using testing::NgRecord;
using testing::World;

std::string Path(const char* name) { return std::string("/sys/kernel/security/ima/") + name; }
const char* const kLive = "binary_runtime_measurements";
const char* const kStaged = "binary_runtime_measurements_staged";

TEST(StagingTest, StoresDeletesAndStaysWholeOverThreeSnapshots) {
  World world(Kind::kStaging);
  uint64_t stored = 0;
  for (uint64_t n = 1; n <= 3; ++n) {
    world.kernel.MeasureFiles(10);
    world.kernel.records_after_open = static_cast<int>(n);
    const uint64_t before = world.kernel.total();
    auto taken = world.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_EQ(taken->attempt, kNoAttempt);
    EXPECT_EQ(taken->segment->number, n);
    EXPECT_EQ(taken->segment->first_record, stored + 1);
    EXPECT_EQ(taken->segment->last_record, before);
    EXPECT_EQ(taken->segment->state, SegmentState::kPurged);
    stored = before;
    EXPECT_EQ(world.kernel.in_memory(), n);
    EXPECT_EQ(world.kernel.staged(), 0U);
    EXPECT_TRUE(world.notes.empty());
    EXPECT_TRUE(world.IsWhole());
  }
}

TEST(StagingTest, TakingWithNothingMeasuredStoresNothing) {
  World world(Kind::kStaging);
  ASSERT_TRUE(world.Take().ok());
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_FALSE(taken->segment);
  EXPECT_THAT(world.fs.Names(kBoot1), ElementsAre("00000001.ima", "00000001.json", "session.json"));
  EXPECT_TRUE(world.IsWhole());
}

TEST(StagingTest, MarkIsRefusedAndChangesNothing) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  auto marked = world.Take(/*mark=*/true);
  ASSERT_FALSE(marked.ok());
  EXPECT_EQ(marked.error().cause, Cause::kNoMark);
  EXPECT_EQ(world.fs.Find(kStore), nullptr);
  EXPECT_EQ(world.kernel.staged(), 0U);
}

TEST(StagingTest, OpenReaderMakesItFailAfterABoundedWaitAndChangesNothing) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  auto reader = world.kernel.Open(kLive, Path(kLive), false);
  ASSERT_TRUE(reader.ok());
  auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().errno_value, EBUSY);
  EXPECT_EQ(taken.error().cause, Cause::kBusy);
  EXPECT_EQ(world.pauses, 19);
  EXPECT_EQ(world.kernel.staged(), 0U);
  EXPECT_EQ(world.kernel.purges(), 1U);
  EXPECT_THAT(world.fs.Names(kBoot1), ElementsAre("00000001.ima", "00000001.json", "session.json"));
  EXPECT_TRUE(world.IsWhole());
  reader->reset();
  EXPECT_TRUE(world.Take().ok());
  EXPECT_TRUE(world.IsWhole());
}

TEST(StagingTest, AnotherStagerKeepsReadersOutAndIsNamed) {
  World world(Kind::kStaging);
  const auto writer = world.kernel.Open(kStaged, Path(kStaged), true);
  ASSERT_TRUE(writer.ok());
  auto cat = world.Cat();
  ASSERT_FALSE(cat.ok());
  EXPECT_EQ(cat.error().errno_value, EBUSY);
  EXPECT_EQ(cat.error().cause, Cause::kReadersExcluded);
}

TEST(StagingTest, ReadersLeaveNoFileOfTheKernelOpen) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  const Environment env = world.Env();
  auto view = OpenBootLog(env);
  ASSERT_TRUE(view.ok());
  const auto parts = PartsOf(env, *view);
  const auto opened = parts.back().open();
  ASSERT_TRUE(opened.ok());
  EXPECT_TRUE(world.kernel.Open(kStaged, Path(kStaged), true).ok());
}

TEST(StagingTest, RecordsLeftStagedAreASegmentOfTheirOwn) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  ASSERT_EQ(world.kernel.Stage(), 0);
  world.kernel.MeasureFiles(2);
  EXPECT_TRUE(world.IsWhole());
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->segment->number, 2U);
  EXPECT_EQ(taken->segment->first_record, 5U);
  EXPECT_THAT(world.notes, ElementsAre(IsNote(NoteKind::kStagedStored, 1)));
  EXPECT_EQ(world.Info(1).records, 4U);
  EXPECT_EQ(world.kernel.in_memory(), 0U);
  EXPECT_TRUE(world.IsWhole());
}

TEST(StagingTest, StagedPartComesBetweenTheSegmentsAndTheList) {
  World world(Kind::kStaging);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  ASSERT_EQ(world.kernel.Stage(), 0);
  world.kernel.MeasureFiles(2);
  const Environment env = world.Env();
  auto view = OpenBootLog(env);
  ASSERT_TRUE(view.ok());
  const auto parts = PartsOf(env, *view);
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[1].path, Path(kStaged));
  EXPECT_EQ(parts[1].segment, 0U);
  EXPECT_EQ(parts[2].path, Path(kLive));
  // Each open has a place of its own.
  auto one = parts[1].open();
  auto two = parts[1].open();
  std::array<std::byte, 64> first{};
  std::array<std::byte, 64> second{};
  ASSERT_EQ((*one)->Read(first).value(), 64U);
  ASSERT_EQ((*two)->Read(second).value(), 64U);
  EXPECT_EQ(first, second);
}

// With ima_flush_htable the kernel may forget the list before it fails.
TEST(StagingTest, DeletionThatAnswersAnErrorAndDeletedIsSeen) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  world.kernel.write_error = ENOMEM;
  world.kernel.purge_although_error = true;
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->segment->state, SegmentState::kPurged);
  EXPECT_THAT(world.notes, Contains(IsNote(NoteKind::kPurgedDespiteError, 0)));
  EXPECT_TRUE(world.IsWhole());
}

TEST(StagingTest, RefusedDeletionIsMadeUpForByTheNextSnapshot) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  world.kernel.write_error = ESTALE;
  auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().errno_value, ESTALE);
  EXPECT_EQ(taken.error().cause, Cause::kMeasuringSuspended);
  EXPECT_EQ(taken.error().segment, 1U);
  EXPECT_TRUE(world.IsWhole());
  world.kernel.write_error = 0;
  ASSERT_TRUE(world.Take().ok());
  EXPECT_THAT(world.notes, Contains(IsNote(NoteKind::kStagedPurged, 1)));
  EXPECT_TRUE(world.IsWhole());
}

// Only what is staged has the records then.
TEST(StagingTest, DamagedSegmentIsTakenAgainFromWhatIsStillStaged) {
  for (const bool gone : {false, true}) {
    World world(Kind::kStaging);
    world.kernel.MeasureFiles(3);
    world.TakeUnpurged(EIO);
    if (gone) {
      world.fs.Remove(world.SegmentPath(1) + ".ima");
    } else {
      world.fs.Find(world.SegmentPath(1) + ".ima")->data.back() ^= std::byte{1};
    }
    auto taken = world.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_THAT(world.notes, Contains(IsNote(NoteKind::kSegmentDamaged, 1)));
    EXPECT_EQ(world.kernel.staged(), 0U);
    EXPECT_TRUE(world.IsWhole());
    EXPECT_EQ(world.fs.Find(world.SegmentPath(1) + ".json"), nullptr);
  }
}

// Violations have no entry in the hash table: the same bytes can be measured again.
TEST(StagingTest, SameBytesMeasuredAgainAreOtherRecords) {
  World world(Kind::kStaging);
  ASSERT_TRUE(world.Take().ok());
  for (int i = 0; i < 3; ++i) {
    world.kernel.Measure(testing::Violation("/same"));
    ASSERT_TRUE(world.Take().ok());
    world.kernel.Measure(testing::Violation("/same"));
    EXPECT_TRUE(world.IsWhole());
    ASSERT_EQ(world.kernel.Stage(), 0);
    EXPECT_TRUE(world.IsWhole());
    ASSERT_TRUE(world.Take().ok());
    EXPECT_TRUE(world.IsWhole());
  }
}

TEST(StagingTest, RepairStoreSavesWhatIsStagedAndTakesNothing) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  ASSERT_EQ(world.kernel.Stage(), 0);
  world.kernel.MeasureFiles(2);
  const auto repaired = world.Repair();
  ASSERT_TRUE(repaired.ok()) << repaired.error().ToString();
  EXPECT_EQ(world.kernel.staged(), 0U);
  EXPECT_EQ(world.kernel.in_memory(), 2U);
  EXPECT_THAT(world.fs.Names(kBoot1), ElementsAre("00000001.ima", "00000001.json", "session.json"));
  EXPECT_TRUE(world.IsWhole());
}

// A kernel with both: staged records are saved first, its aggregates count them.
TEST(StagingTest, SnapshotFileGivesWayToWhatIsStaged) {
  World world;
  world.kernel.has_staging = true;
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  ASSERT_EQ(world.kernel.Stage(), 0);
  auto marked = world.Take(true);
  ASSERT_FALSE(marked.ok());
  EXPECT_EQ(marked.error().cause, Cause::kBusy);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->attempt, 2U);
  EXPECT_EQ(taken->segment->number, 3U);
  EXPECT_EQ(taken->segment->records, 0U);
  EXPECT_TRUE(world.IsWhole());
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  EXPECT_TRUE(world.IsWhole());
}

TEST(StagingTest, MarkerRightAfterADeletionIsVerified) {
  World world;
  world.kernel.has_staging = true;
  world.kernel.MeasureFiles(3);
  ASSERT_EQ(world.kernel.Stage(), 0);
  ASSERT_TRUE(world.Repair().ok());
  ASSERT_TRUE(world.Take(true).ok());
  EXPECT_TRUE(world.IsWhole());
}

class KexecTest : public ::testing::Test {
 protected:
  void Kexec(World* world, Kind into) {
    world->Kexec();
    world->kernel.has_snapshot_file = into == Kind::kSnapshot;
    world->kernel.has_staging = into == Kind::kStaging;
  }
};

TEST_F(KexecTest, FromAPatchedKernelIntoAStockOneGoesOn) {
  World world;
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  Kexec(&world, Kind::kStaging);
  EXPECT_TRUE(world.IsWhole());
  for (int i = 0; i < 2; ++i) {
    world.kernel.MeasureFiles(3);
    auto taken = world.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_EQ(taken->session, 1U);
    EXPECT_TRUE(world.IsWhole());
  }
}

TEST_F(KexecTest, FromAStockKernelIntoAPatchedOneIsRefusedOnceRecordsAreGone) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.not_counted = world.kernel.total();
  world.kernel.MeasureFiles(3);
  Kexec(&world, Kind::kSnapshot);
  auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().cause, Cause::kRecordsUncounted);
  EXPECT_EQ(world.kernel.attempts(), 0U);
  EXPECT_TRUE(world.IsWhole());
}

// A mark of that kernel would contradict the segments as much; and a segment that
// was not deleted in time, and came over the kexec, changes nothing.
TEST_F(KexecTest, FromAStockKernelIntoAPatchedOneIsRefusedInEveryCase) {
  for (const bool left : {false, true}) {
    World world(Kind::kStaging);
    world.kernel.MeasureFiles(3);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.not_counted = world.kernel.total();
    world.kernel.MeasureFiles(3);
    if (left) {
      world.TakeUnpurged(ESTALE);
    }
    Kexec(&world, Kind::kSnapshot);
    for (const bool mark : {false, true}) {
      const auto taken = world.Take(mark);
      ASSERT_FALSE(taken.ok()) << left << mark;
      EXPECT_EQ(taken.error().cause, Cause::kRecordsUncounted);
    }
    EXPECT_EQ(world.kernel.attempts(), 0U);
    EXPECT_TRUE(world.IsWhole());
  }
}

TEST_F(KexecTest, WithoutATpmAListThatGoesOnIsTold) {
  World world(Kind::kStaging);
  world.reset_count.reset();
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  Kexec(&world, Kind::kStaging);
  EXPECT_TRUE(world.IsWhole());
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 1U);
  EXPECT_TRUE(world.IsWhole());
}

// Otherwise it would be closed, and removed with the next boots.
TEST_F(KexecTest, ATpmThatDoesNotAnswerEndsNoSession) {
  World world(Kind::kStaging);
  world.config.keep_boots = 1;
  const std::optional<uint32_t> count = world.reset_count;
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  Kexec(&world, Kind::kStaging);
  world.reset_count.reset();
  auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kFailed);
  EXPECT_EQ(taken.error().cause, Cause::kResetCountUnknown);
  world.reset_count = count;
  taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->session, 1U);
  EXPECT_TRUE(world.IsWhole());
}

// The case that STORE.md calls undecidable: nothing was left to carry over.
TEST_F(KexecTest, WithoutATpmAnEmptyListLooksLikeAColdBoot) {
  World world(Kind::kStaging);
  world.reset_count.reset();
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  Kexec(&world, Kind::kStaging);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 2U);
}

TEST_F(KexecTest, SegmentThatStayedInTheKernelIsSuperseded) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  world.TakeUnpurged(ESTALE);
  Kexec(&world, Kind::kStaging);
  EXPECT_TRUE(world.IsWhole());
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->segment->supersedes, 2U);
  EXPECT_TRUE(world.IsWhole());
}

// The patched kernel counts its records once, though they are stored and in its list.
TEST_F(KexecTest, SegmentThatStayedInTheKernelHoldsUpNoAggregate) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  world.TakeUnpurged(ESTALE);
  Kexec(&world, Kind::kSnapshot);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->segment->supersedes, 1U);
  EXPECT_TRUE(world.IsWhole());
}

// A part may only begin without an aggregate where the one before has no attempt.
TEST(StagingTest, SnapshotSegmentsStillNeedTheirAggregates) {
  World world;
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  const std::string two = world.SegmentPath(2);
  world.fs.Write(two + ".ima", std::string(AsText(NgRecord("/x").Binary())));
  auto report = world.Verify(nullptr);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->cause, Cause::kAggregateMissing);
  EXPECT_EQ(report->finding->segment, 2U);
}

}  // namespace
}  // namespace imasnap
