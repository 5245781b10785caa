// SPDX-License-Identifier: GPL-2.0-or-later
//
// How the store distinguishes boots, and recovers from states that only an interruption
// leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <tuple>

#include "log/replay.h"
#include "store/boot_log.h"
#include "world.h"

namespace imasnap {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::IsNote;
using testing::kBoot1;
using testing::Kind;
using testing::kStore;
using testing::NgRecord;
using testing::World;

class BootTest : public ::testing::TestWithParam<std::tuple<bool, Kind>> {
 protected:
  BootTest() : world_(std::get<1>(GetParam())) { world_.reset_count = Counter(5); }
  std::optional<uint32_t> Counter(uint32_t count) const {
    return std::get<0>(GetParam()) ? std::optional<uint32_t>(count) : std::nullopt;
  }
  // A cold boot; with a TPM its reset count rises.
  void ColdBoot(uint32_t count) { world_.ColdBoot(Counter(count)); }
  World world_;
};

TEST_P(BootTest, ColdBootBeginsANewSessionAndOldOnesAreRemoved) {
  world_.config.keep_boots = 2;
  for (uint32_t boot = 1; boot <= 4; ++boot) {
    if (boot > 1) {
      ColdBoot(5 + boot);
      // Before the first snapshot the old segments do not belong to the log.
      EXPECT_TRUE(world_.IsWhole());
    }
    world_.kernel.MeasureFiles(4);
    auto taken = world_.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_EQ(taken->session, boot);
    EXPECT_EQ(taken->segment->number, 1U);
    EXPECT_TRUE(world_.IsWhole());
  }
  EXPECT_THAT(world_.fs.Names(kStore + "/boots"), ElementsAre("00000003", "00000004"));
  EXPECT_EQ(world_.fs.Find(kStore + "/current")->target, "boots/00000004");
}

TEST_P(BootTest, KexecCarriesTheSessionOn) {
  world_.kernel.MeasureFiles(4);
  ASSERT_TRUE(world_.Take().ok());
  // The list is carried over, the new kernel measures its own beginning.
  world_.kernel.Measure(NgRecord("boot_aggregate"));
  world_.kernel.MeasureFiles(2);
  auto taken = world_.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 1U);
  EXPECT_EQ(taken->segment->number, 2U);
  EXPECT_TRUE(world_.IsWhole());
}

TEST_P(BootTest, SecondBootWithTheSameFirstRecordsIsAnotherSession) {
  world_.kernel.Measure(NgRecord("/same"));
  ASSERT_TRUE(world_.Take().ok());
  ColdBoot(6);
  world_.kernel.Measure(NgRecord("/same"));
  auto taken = world_.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 2U);
  EXPECT_TRUE(world_.IsWhole());
}

TEST_P(BootTest, SegmentStoredButNotPurgedBeforeAColdBootStaysWithItsBoot) {
  world_.kernel.MeasureFiles(4);
  world_.TakeUnpurged(EIO);
  ColdBoot(6);
  world_.kernel.MeasureFiles(3);
  EXPECT_TRUE(world_.IsWhole());
  auto taken = world_.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 2U);
  EXPECT_FALSE(taken->segment->supersedes);
  EXPECT_TRUE(world_.fs.Find(kBoot1 + "/00000001.ima"));
  EXPECT_TRUE(world_.IsWhole());
}

TEST_P(BootTest, RepairAtAColdBootClosesTheOldSessionWithoutASnapshot) {
  world_.config.keep_boots = 2;
  world_.kernel.MeasureFiles(4);
  ASSERT_TRUE(world_.Take().ok());
  const std::string file = kBoot1 + "/session.json";
  EXPECT_EQ(ParseSession(*world_.fs.Read(file), file)->closed, "");
  ColdBoot(6);
  const auto repaired = world_.Repair();
  ASSERT_TRUE(repaired.ok()) << repaired.error().ToString();
  EXPECT_EQ(ParseSession(*world_.fs.Read(file), file)->closed, "2026-01-02T03:04:05Z");
  EXPECT_THAT(world_.fs.Names(kStore + "/boots"), ElementsAre("00000001", "00000002"));
  EXPECT_THAT(world_.fs.Names(kStore + "/boots/00000002"), ElementsAre("session.json"));
  EXPECT_EQ(world_.fs.Find(kStore + "/current")->target, "boots/00000002");
  EXPECT_EQ(world_.kernel.attempts(), 0U);
  EXPECT_EQ(world_.kernel.in_memory(), 1U);
  EXPECT_TRUE(world_.IsWhole());
  // keep_boots holds at every recovery, not only at a boot's first.
  world_.config.keep_boots = 1;
  ASSERT_TRUE(world_.Repair().ok());
  EXPECT_THAT(world_.fs.Names(kStore + "/boots"), ElementsAre("00000002"));
}

INSTANTIATE_TEST_SUITE_P(Tpm, BootTest,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::Values(Kind::kSnapshot, Kind::kStaging)),
                         [](const auto& p) {
                           return std::string(std::get<0>(p.param) ? "With" : "Without") +
                                  (std::get<1>(p.param) == Kind::kSnapshot ? "" : "ByStaging");
                         });

TEST(RecoveryTest, ClosedSessionThatTheChainProvesIsOpenedAgain) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  const std::string file = kBoot1 + "/session.json";
  auto info = ParseSession(*world.fs.Read(file), file).value();
  info.closed = "2026-01-01T00:00:00Z";
  world.fs.Write(file, FormatSession(info));
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 1U);
  EXPECT_EQ(ParseSession(*world.fs.Read(file), file)->closed, "");
}

// The TPM of a virtual machine may begin anew with each boot.
TEST(RecoveryTest, AColdBootWithAnEqualResetCountIsToldByTheListsBeginning) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.ColdBoot(world.reset_count);
  world.kernel.MeasureFiles(3);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->session, 2U);
  EXPECT_TRUE(world.IsWhole());
}

TEST(RecoveryTest, AnotherMachineIsAnotherBootWhateverItsTpmCounts) {
  for (const Kind kind : {Kind::kSnapshot, Kind::kStaging}) {
    for (const bool stored : {false, true}) {
      World world(kind);
      world.kernel.MeasureFiles(4);
      if (stored) {
        ASSERT_TRUE(world.Take().ok());
      } else {
        ASSERT_TRUE(world.Repair().ok());
      }
      world.ColdBoot(world.reset_count);
      world.identity.machine = std::string(32, 'c');
      world.kernel.MeasureFiles(3);
      auto taken = world.Take();
      ASSERT_TRUE(taken.ok()) << taken.error().ToString();
      EXPECT_EQ(taken->session, 2U);
      EXPECT_TRUE(world.IsWhole());
    }
  }
}

TEST(RecoveryTest, ClearedTpmDoesNotEndASessionThatTheChainProves) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.reset_count = 0;  // TPM2_Clear
  world.kernel.MeasureFiles(4);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 1U);
  EXPECT_TRUE(world.IsWhole());
}

TEST(RecoveryTest, ClearedTpmDoesNotEndASessionOfTheSameRunOfTheKernel) {
  for (const bool staged_away : {false, true}) {
    World world;
    world.kernel.has_staging = true;
    world.kernel.MeasureFiles(4);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.MeasureFiles(4);
    if (staged_away) {  // by a program that ignores the lock
      ASSERT_EQ(world.kernel.Stage(), 0);
      ASSERT_EQ(world.kernel.DeleteStaged(), 0);
    } else {
      world.TakeUnpurged(EIO);
    }
    world.reset_count = 0;  // TPM2_Clear
    world.kernel.MeasureFiles(2);
    auto taken = world.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_EQ(taken->session, 1U);
    if (staged_away) {
      EXPECT_THAT(world.notes, Contains(IsNote(NoteKind::kNotContinued, 1)));
    } else {
      EXPECT_TRUE(world.IsWhole());
    }
  }
}

TEST(RecoveryTest, PurgeByAnotherClientIsSaidAndShownByVerification) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(4);
  {  // someone else's snapshot, into another store
    Environment other = world.Env();
    other.config.store = "/var/lib/other";
    other.config.allow_gap = true;
    Notes notes;
    ASSERT_TRUE(TakeSnapshot(other, false, &notes).ok());
  }
  world.kernel.MeasureFiles(4);
  auto report = world.Verify(&world.tpm);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->segment, 0U);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 1U);
  EXPECT_THAT(world.notes, Contains(IsNote(NoteKind::kNotContinued, 1)));
  report = world.Verify(&world.tpm);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->segment, 2U);
  EXPECT_EQ(report->finding->cause, Cause::kAttempt);
  EXPECT_EQ(report->finding->expected, "1");
  EXPECT_EQ(report->finding->found, "2");
}

TEST(RecoveryTest, RecordsThatAreGoneWithoutAnAggregateAreToldByTheCounters) {
  World world;
  world.kernel.has_staging = true;  // beside the snapshot file
  world.kernel.MeasureFiles(4);
  ASSERT_EQ(world.kernel.Stage(), 0);
  world.kernel.MeasureFiles(2);
  ASSERT_EQ(world.kernel.DeleteStaged(), 0);
  const auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kRefused);
  EXPECT_EQ(taken.error().cause, Cause::kRecordsGone);
  EXPECT_EQ(taken.error().found, "5");
  EXPECT_EQ(world.kernel.attempts(), 0U);
}

TEST(RecoveryTest, UnseenPurgeIsNoted) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  auto info = world.Info(1);
  info.state = SegmentState::kStored;
  world.SetInfo(1, info);
  ASSERT_TRUE(world.Take().ok());
  EXPECT_THAT(world.notes, Contains(IsNote(NoteKind::kPurgeRecognized, 1)));
  info = world.Info(1);
  EXPECT_EQ(info.state, SegmentState::kPurged);
}

TEST(RecoveryTest, LostMetadataOfThePurgedLastSegmentIsWrittenAnew) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  const auto good = world.Info(1);
  world.fs.Remove(world.SegmentPath(1) + ".json");
  ASSERT_TRUE(world.Take().ok());
  EXPECT_THAT(world.notes, Contains(IsNote(NoteKind::kMetadataRewritten, 1)));
  EXPECT_EQ(world.Info(1), good);
  EXPECT_TRUE(world.IsWhole());
}

TEST(RecoveryTest, DamagedLastSegmentIsNotTakenForAnEarlierBoots) {
  World world;
  world.reset_count.reset();
  world.config.keep_boots = 1;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.fs.Remove(world.SegmentPath(1) + ".json");
  world.fs.Find(world.SegmentPath(1) + ".ima")->data[5] ^= std::byte{1};
  const auto bytes = world.fs.Read(world.SegmentPath(1) + ".ima");
  world.kernel.MeasureFiles(2);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->session, 1U);
  EXPECT_EQ(world.fs.Read(world.SegmentPath(1) + ".ima"), bytes);
  auto report = world.Verify(nullptr);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->segment, 1U);
}

TEST(RecoveryTest, CorruptedStoredSegmentIsNeverOverwritten) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.fs.Find(world.SegmentPath(1) + ".ima")->data[5] ^= std::byte{1};
  const auto bytes = world.fs.Read(world.SegmentPath(1) + ".ima");
  world.kernel.MeasureFiles(2);
  ASSERT_TRUE(world.Take().ok());
  EXPECT_EQ(world.fs.Read(world.SegmentPath(1) + ".ima"), bytes);
  auto report = world.Verify(nullptr);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->segment, 1U);
}

TEST(RecoveryTest, RefusesASessionFileItDoesNotUnderstand) {
  World world;
  ASSERT_TRUE(world.Take().ok());
  world.fs.Write(kBoot1 + "/session.json", "{\"format\": 2}");
  const uint64_t attempts = world.kernel.attempts();
  auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().file, kBoot1 + "/session.json");
  EXPECT_EQ(world.kernel.attempts(), attempts);
}

}  // namespace
}  // namespace imasnap
