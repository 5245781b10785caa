// SPDX-License-Identifier: GPL-2.0-or-later
//
// Recovery after several faults at once: lost metadata, a kexec or another machine,
// records staged again, a failing disk.
#include "snapshot/recovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "verify/discard.h"
#include "world.h"

namespace imasnap {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Fault;
using testing::kBoot1;
using testing::Kind;
using testing::kStore;
using testing::World;

// Violations have no entry in the hash table: segment 3 begins with the same bytes
// as segment 2, which the kernel has deleted.
TEST(RecoveryTest, LostMetadataDoesNotMakeASegmentTakeAPurgedOnesPlace) {
  World world(Kind::kStaging);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.Measure(testing::Violation("/same"));
  ASSERT_TRUE(world.Take().ok());
  world.kernel.Measure(testing::Violation("/same"));
  world.kernel.MeasureFiles(2);
  world.DieBefore("open " + world.SegmentPath(3) + ".json.tmp");
  ASSERT_NE(world.fs.Find(world.SegmentPath(3) + ".ima"), nullptr);
  ASSERT_TRUE(world.Repair().ok());
  EXPECT_THAT(world.notes, Contains(testing::IsNote(NoteKind::kMetadataRewritten, 3)));
  EXPECT_NE(world.fs.Find(world.SegmentPath(2) + ".ima"), nullptr);
  EXPECT_TRUE(world.IsWhole());
}

// Only the run in which a segment was staged could still have deleted it.
TEST(RecoveryTest, WithoutItsSessionsFileACarriedOverSegmentIsNotTakenForThisRuns) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  world.TakeUnpurged(ESTALE);
  world.Kexec();
  world.fs.Remove(kBoot1 + "/session.json");
  world.DieBefore("open " + world.SegmentPath(2) + ".ima.tmp");
  ASSERT_TRUE(world.Take().ok());
  EXPECT_TRUE(world.IsWhole());
}

TEST(RecoveryTest, CarriedOverRecordsThatWereStagedWithMoreAreTakenTogether) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  world.TakeUnpurged(ESTALE);
  world.Kexec();
  world.kernel.MeasureFiles(2);
  ASSERT_EQ(world.kernel.Stage(), 0);
  const auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(world.kernel.in_memory(), 0U);
  EXPECT_EQ(world.fs.Find(world.SegmentPath(1) + ".ima"), nullptr);
  EXPECT_TRUE(world.IsWhole());
}

TEST(RecoveryTest, AnotherMachinesSessionWaitsForNoTpm) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  world.ColdBoot(std::nullopt);
  world.identity.machine = std::string(32, 'c');
  world.kernel.MeasureFiles(3);
  const auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->session, 2U);
  EXPECT_TRUE(world.IsWhole());
}

TEST(RecoveryTest, ASessionWithoutSegmentsIsOfTheBootWithItsResetCount) {
  for (const Kind kind : {Kind::kSnapshot, Kind::kStaging}) {
    World world(kind);
    ASSERT_TRUE(world.Repair().ok());
    world.ColdBoot(6);
    world.kernel.MeasureFiles(3);
    const auto taken = world.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_EQ(taken->session, 2U);
    const std::string file = kBoot1 + "/session.json";
    EXPECT_EQ(ParseSession(*world.fs.Read(file), file)->reset_count, 5U);
  }
}

// The aggregate has the attempt of the last segment, whose metadata has another
// SHA-256: damage, and not an earlier boot.
TEST(RecoveryTest, MetadataThatContradictTheAggregateEndNoSession) {
  World world;
  world.reset_count.reset();
  world.config.keep_boots = 1;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  SegmentInfo info = world.Info(1);
  info.sha256.bytes[0] ^= std::byte{1};
  world.SetInfo(1, info);
  world.Kexec();
  const auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->session, 1U);
  EXPECT_NE(world.fs.Find(world.SegmentPath(1) + ".ima"), nullptr);
}

// The kernel deleted a segment, and this was not noticed. The same bytes are measured
// again, with more after them, and may be staged. In the segment's own run, which need
// not be the first of the boot, they are other records.
TEST(RecoveryTest, BytesMeasuredAgainInTheRunOfTheSegmentAreOtherRecords) {
  for (const bool kexec : {false, true}) {
    for (const bool staged : {false, true}) {
      World world(Kind::kStaging);
      ASSERT_TRUE(world.Take().ok());
      if (kexec) {
        world.Kexec();
        ASSERT_TRUE(world.Take().ok());
      }
      const std::string segment = world.SegmentPath(kexec ? 3 : 2);
      world.kernel.Measure(testing::Violation("/same"));
      world.DieBefore("open " + segment + ".json.tmp", 1);
      ASSERT_EQ(world.kernel.in_memory(), 0U);
      world.kernel.Measure(testing::Violation("/same"));
      world.kernel.MeasureFiles(2);
      if (staged) {
        ASSERT_EQ(world.kernel.Stage(), 0);
      }
      EXPECT_TRUE(world.IsWhole());
      ASSERT_TRUE(world.Take().ok());
      EXPECT_NE(world.fs.Find(segment + ".ima"), nullptr);
      EXPECT_TRUE(world.IsWhole());
    }
  }
}

// A segment that took the place of a carried-over one is of this run.
TEST(RecoveryTest, BytesMeasuredAgainAfterACarriedOverSegmentWasTakenAreOtherRecords) {
  World world(Kind::kStaging);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.Measure(testing::Violation("/same"));
  world.TakeUnpurged(ESTALE);
  world.Kexec();  // measures a boot_aggregate
  world.DieBefore("open " + world.SegmentPath(3) + ".json.tmp", 1);
  ASSERT_EQ(world.kernel.in_memory(), 0U);
  world.kernel.Measure(testing::Violation("/same"));
  world.kernel.Measure(testing::NgRecord("boot_aggregate"));
  world.kernel.MeasureFiles(2);
  EXPECT_TRUE(world.IsWhole());
  ASSERT_TRUE(world.Take().ok());
  EXPECT_NE(world.fs.Find(world.SegmentPath(3) + ".ima"), nullptr);
  EXPECT_TRUE(world.IsWhole());
}

TEST(RecoveryTest, ATpmThatDoesNotAnswerIsNotForgotten) {
  World world;
  ASSERT_TRUE(world.Take().ok());
  world.reset_count.reset();
  ASSERT_TRUE(world.Take().ok());
  const std::string file = kBoot1 + "/session.json";
  EXPECT_EQ(ParseSession(*world.fs.Read(file), file)->reset_count, 5U);
}

// When a boot was first seen to have ended, not when its end was last looked at.
TEST(RecoveryTest, ASessionIsClosedOnce) {
  World world;
  ASSERT_TRUE(world.Take().ok());
  world.ColdBoot(6);
  world.DieBefore("mkdir " + kStore + "/boots/00000002");
  const std::string file = kBoot1 + "/session.json";
  ASSERT_EQ(ParseSession(*world.fs.Read(file), file)->closed, "2026-01-02T03:04:05Z");
  Environment env = world.Env();
  env.now = [] { return std::string("2026-01-03T00:00:00Z"); };
  Notes notes;
  ASSERT_TRUE(RepairStore(env, &notes).ok());
  EXPECT_EQ(ParseSession(*world.fs.Read(file), file)->closed, "2026-01-02T03:04:05Z");
}

// Records before the first segment are missing, as allow_gap permits, and count.
TEST(RecoveryTest, RecordNumbersGoOnFromTheLastRecordBehindAGap) {
  World world;
  world.kernel.has_staging = true;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.config.store = "/srv/ima";
  world.config.allow_gap = true;
  world.kernel.MeasureFiles(2);
  const auto first = world.Take();
  ASSERT_TRUE(first.ok()) << first.error().ToString();
  ASSERT_EQ(first->segment->first_record, 6U);
  world.kernel.MeasureFiles(3);
  ASSERT_EQ(world.kernel.Stage(), 0);
  const auto repaired = world.Repair();
  ASSERT_TRUE(repaired.ok()) << repaired.error().ToString();
  const SegmentInfo& staged = *repaired->segments.back().info;
  EXPECT_EQ(staged.attempt, kNoAttempt);
  EXPECT_EQ(staged.first_record, first->segment->last_record + 1);
  EXPECT_EQ(staged.last_record, world.kernel.total());
}

TEST(RecoveryTest, GarbageThatStaysIsAnErrorOfGc) {
  World world;
  world.config.keep_boots = 10;
  for (uint32_t boot = 5; boot < 8; ++boot) {
    world.ColdBoot(boot);
    world.kernel.MeasureFiles(3);
    ASSERT_TRUE(world.Take().ok());
  }
  world.config.keep_boots = 1;
  Fault fault;
  fault.errno_value = EIO;
  fault.at = "rename " + kBoot1;
  world.fs.Arm(fault);
  GcResult done;
  const Status status = CollectGarbage(world.Env(), {}, "", &done);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().errno_value, EIO);
  // The others are still removed, and this one is removed the next time.
  EXPECT_THAT(world.fs.Names(kStore + "/boots"), ElementsAre("00000001", "00000003"));
  EXPECT_TRUE(CollectGarbage(world.Env(), {}, "", &done).ok());
  EXPECT_THAT(world.fs.Names(kStore + "/boots"), ElementsAre("00000003"));
}

// The old name must not come back without its files.
TEST(RecoveryTest, AnOldSessionHasItsOtherNameDurablyBeforeItsFilesGo) {
  World world;
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  world.ColdBoot(6);
  world.config.keep_boots = 1;
  std::vector<std::string> calls;
  world.fs.on_call = [&calls](const std::string& call) {
    if (call == "rename " + kBoot1 || call == "fsync " + kStore + "/boots" ||
        call.starts_with("unlink " + kBoot1)) {
      calls.push_back(call.substr(0, call.find(' ')));
    }
  };
  ASSERT_TRUE(world.Take().ok());
  world.fs.on_call = {};
  const auto renamed = std::ranges::find(calls, "rename");
  ASSERT_NE(renamed, calls.end());
  EXPECT_THAT(std::vector<std::string>(renamed, calls.end()),
              ElementsAre("rename", "fsync", "unlink", "unlink", "unlink", "fsync"));
}

}  // namespace
}  // namespace imasnap
