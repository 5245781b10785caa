// SPDX-License-Identifier: GPL-2.0-or-later
//
// The last snapshot before the machine goes down: what the store has afterwards, and
// what the next run of the kernel reports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "cli_fixture.h"
#include "verify/copied_store.h"
#include "world.h"

namespace imasnap {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using testing::IsNote;
using testing::kBoot1;
using testing::Kind;
using testing::kStore;
using ::testing::Not;
using testing::World;

class FinalSnapshotTest : public ::testing::TestWithParam<Kind> {
 protected:
  FinalSnapshotTest() : world_(GetParam()) {
    world_.kernel.MeasureFiles(4);
    EXPECT_TRUE(world_.Take().ok());
    world_.kernel.MeasureFiles(3);
  }

  // The list that follows the segments 1 to `last`.
  std::optional<std::string> ListAfter(uint64_t last) const {
    return world_.fs.Read(world_.SegmentPath(last + 1) + ".list");
  }
  std::string InMemory() const { return std::string(AsText(world_.kernel.InMemory())); }
  // The whole log of session 1, from the store alone.
  void ExpectStoreHasTheLog(const PcrValues& pcrs, uint64_t records) {
    const auto log = OpenCopiedLog(world_.fs, kStore, 1, std::nullopt);
    ASSERT_TRUE(log.ok()) << log.error().ToString();
    FixedPcrs fixed(pcrs);
    const auto report = VerifyLog(log->parts, &fixed);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    EXPECT_FALSE(report->finding);
    EXPECT_EQ(report->matched_record, records);
  }

  World world_;
};

TEST_P(FinalSnapshotTest, StoreHasTheWholeLogOfAClosedSession) {
  world_.kernel.records_after_open = 2;
  const auto taken = world_.TakeFinal();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->segment->number, 2U);
  EXPECT_EQ(ListAfter(2), InMemory());
  EXPECT_TRUE(world_.IsWhole());
  const PcrValues pcrs = world_.kernel.Pcrs();
  const uint64_t records = world_.kernel.total();
  world_.ColdBoot(6);
  ASSERT_TRUE(world_.Repair().ok());
  EXPECT_THAT(world_.notes, Contains(IsNote(NoteKind::kSessionClosed, 1)));
  EXPECT_THAT(world_.notes, Not(Contains(IsNote(NoteKind::kNoFinalSnapshot, 1))));
  ExpectStoreHasTheLog(pcrs, records);
}

TEST_P(FinalSnapshotTest, NextBootReportsThatThereWasNone) {
  for (const bool wanted : {true, false}) {
    World world(GetParam());
    world.config.final_snapshot = wanted;
    world.kernel.MeasureFiles(4);
    ASSERT_TRUE(world.Take().ok());
    world.ColdBoot(6);
    ASSERT_TRUE(world.Repair().ok());
    if (wanted) {
      EXPECT_THAT(world.notes, Contains(IsNote(NoteKind::kNoFinalSnapshot, 1)));
    } else {
      EXPECT_THAT(world.notes, Not(Contains(IsNote(NoteKind::kNoFinalSnapshot, 1))));
    }
    ASSERT_TRUE(world.Repair().ok());
    EXPECT_THAT(world.notes, IsEmpty());
  }
}

TEST_P(FinalSnapshotTest, AfterAKexecTheListThatWasCarriedOverIsRemoved) {
  ASSERT_TRUE(world_.TakeFinal().ok());
  world_.kernel.MeasureFiles(2);
  world_.Kexec();
  ASSERT_TRUE(world_.Repair().ok());
  EXPECT_THAT(world_.notes, IsEmpty());
  EXPECT_EQ(ListAfter(2), std::nullopt);
  EXPECT_TRUE(world_.IsWhole());
  ASSERT_TRUE(world_.Take().ok());
  EXPECT_TRUE(world_.IsWhole());
}

TEST_P(FinalSnapshotTest, KexecWithoutOneIsReportedOnce) {
  world_.Kexec();
  ASSERT_TRUE(world_.Repair().ok());
  EXPECT_THAT(world_.notes, Contains(IsNote(NoteKind::kNoFinalSnapshot, 1)));
  ASSERT_TRUE(world_.Repair().ok());
  EXPECT_THAT(world_.notes, IsEmpty());
}

TEST_P(FinalSnapshotTest, SnapshotInTheSameRunRemovesTheList) {
  ASSERT_TRUE(world_.TakeFinal().ok());
  world_.kernel.MeasureFiles(2);
  ASSERT_TRUE(world_.Take().ok());
  EXPECT_THAT(world_.notes, IsEmpty());
  EXPECT_EQ(ListAfter(2), std::nullopt);
  EXPECT_TRUE(world_.IsWhole());
}

// The purge fails, as when measuring was suspended too early.
TEST_P(FinalSnapshotTest, FailedOneKeepsACopyOfAllThatTheKernelHas) {
  world_.kernel.write_error = EIO;
  const auto taken = world_.TakeFinal();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().errno_value, EIO);
  EXPECT_EQ(ListAfter(2), InMemory());
  const PcrValues pcrs = world_.kernel.Pcrs();
  const uint64_t records = world_.kernel.total();
  world_.ColdBoot(6);
  ASSERT_TRUE(world_.Repair().ok());
  ExpectStoreHasTheLog(pcrs, records);
}

TEST_P(FinalSnapshotTest, RecordsThatAKexecLostAreCountedAndStayInTheList) {
  testing::Fault fault;
  fault.errno_value = EIO;
  fault.at = "open " + world_.SegmentPath(2) + ".ima.tmp";
  world_.fs.Arm(fault);
  ASSERT_FALSE(world_.TakeFinal().ok());
  ASSERT_TRUE(world_.fs.fault_hit());
  const std::string list = InMemory();
  EXPECT_EQ(ListAfter(1), list);
  world_.Kexec(/*lost=*/2);
  ASSERT_TRUE(world_.Repair().ok());
  EXPECT_THAT(world_.notes, Contains(IsNote(NoteKind::kRecordsLost, 2)));
  ASSERT_TRUE(world_.Take().ok());
  EXPECT_EQ(ListAfter(1), list);
}

TEST_P(FinalSnapshotTest, DamagedListIsNotInTheWayOfSnapshots) {
  ASSERT_TRUE(world_.TakeFinal().ok());
  world_.fs.Write(world_.SegmentPath(3) + ".list", "no list");
  world_.Kexec();
  ASSERT_TRUE(world_.Take().ok());
  EXPECT_THAT(world_.notes, Contains(IsNote(NoteKind::kRecordsLost, 0)));
  EXPECT_TRUE(world_.IsWhole());
}

TEST_P(FinalSnapshotTest, WithoutRoomNothingIsKeptAndTheNextRunReportsIt) {
  world_.fs.available = world_.config.min_free_space - 1;
  const auto taken = world_.TakeFinal();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().cause, Cause::kNoSpace);
  EXPECT_EQ(ListAfter(1), std::nullopt);
  EXPECT_EQ(ListAfter(2), std::nullopt);
  world_.fs.available = uint64_t{1} << 40;
  world_.Kexec();
  ASSERT_TRUE(world_.Repair().ok());
  EXPECT_THAT(world_.notes, Contains(IsNote(NoteKind::kNoFinalSnapshot, 1)));
}

TEST_P(FinalSnapshotTest, WaitsForTheLockOnlySoLong) {
  const auto lock = world_.fs.OpenFile(world_.config.lock_file, OpenMode::kLockFile);
  ASSERT_TRUE(lock.ok());
  ASSERT_TRUE((*lock)->TryLock(LockMode::kShared).ok());
  const auto taken = world_.TakeFinal();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kLocked);
  EXPECT_EQ(world_.pauses, 39);
}

INSTANTIATE_TEST_SUITE_P(Kinds, FinalSnapshotTest,
                         ::testing::Values(Kind::kSnapshot, Kind::kStaging), [](const auto& p) {
                           return p.param == Kind::kSnapshot ? "Snapshot" : "Staging";
                         });

}  // namespace

namespace cli {
namespace {

class TakeFinalTest : public CliTest {
 protected:
  void Configure(const std::string& text) { world_.fs.Write(kDefaultConfigFile, text); }
};

TEST_F(TakeFinalTest, TakesASnapshotLikeTake) {
  world_.kernel.MeasureFiles(3);
  const Ran ran = RunJson({"take", "--final"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.json["attempt"], 1);
  EXPECT_EQ(ran.json["segment"]["records"], 4);
  EXPECT_EQ(world_.kernel.purges(), 1U);
}

TEST_F(TakeFinalTest, ConfigurationThatWantsNoneIsObeyed) {
  for (const char* text : {"final_snapshot = false\n", "mode = \"mark\"\n"}) {
    Configure(text);
    const Ran ran = RunJson({"take", "--final"});
    EXPECT_EQ(ran.code, 0);
    EXPECT_TRUE(ran.json["segment"].is_null());
    EXPECT_EQ(world_.kernel.attempts(), 0U);
    EXPECT_EQ(Run({"take", "--final"}).code, 0);
    EXPECT_EQ(world_.fs.Find(imasnap::testing::kStore), nullptr);
  }
}

TEST_F(TakeFinalTest, ExcludesAMark) {
  EXPECT_EQ(Run({"take", "--final", "--mark"}).code, 2);
  EXPECT_EQ(world_.kernel.attempts(), 0U);
}

}  // namespace
}  // namespace cli
}  // namespace imasnap
