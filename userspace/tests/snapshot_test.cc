// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <tuple>

#include "every_call.h"
#include "world.h"

namespace imasnap {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Fault;
using testing::FaultCase;
using testing::IsNote;
using testing::kBoot1;
using testing::Kind;
using testing::kStore;
using testing::Lie;
using testing::World;

TEST(SnapshotTest, StoresPurgesAndStaysWholeOverThreeSnapshots) {
  World world;
  for (uint64_t n = 1; n <= 3; ++n) {
    world.kernel.MeasureFiles(10);
    world.kernel.records_after_open = static_cast<int>(n);
    const uint64_t before = world.kernel.total();
    auto taken = world.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_EQ(taken->attempt, n);
    EXPECT_EQ(taken->segment->number, n);
    EXPECT_EQ(taken->segment->last_record, before);
    EXPECT_EQ(taken->segment->state, SegmentState::kPurged);
    EXPECT_EQ(world.kernel.purges(), n);
    EXPECT_EQ(world.kernel.in_memory(), 1 + n);
    EXPECT_TRUE(world.notes.empty());
    EXPECT_TRUE(world.IsWhole());
  }
  EXPECT_THAT(world.fs.Names(kBoot1),
              ElementsAre("00000001.ima", "00000001.json", "00000002.ima", "00000002.json",
                          "00000003.ima", "00000003.json", "session.json"));
  EXPECT_EQ(world.fs.Find(kStore + "/current")->target, "boots/00000001");
}

TEST(SnapshotTest, MarkRecordsTheAggregateAndStoresNothing) {
  World world;
  world.kernel.MeasureFiles(3);
  auto marked = world.Take(/*mark=*/true);
  ASSERT_TRUE(marked.ok()) << marked.error().ToString();
  EXPECT_EQ(marked->attempt, 1U);
  EXPECT_FALSE(marked->segment);
  EXPECT_EQ(world.kernel.purges(), 0U);
  EXPECT_EQ(world.fs.Find(kStore), nullptr);
  EXPECT_TRUE(world.IsWhole());
  // A marker inside a segment is checked like any other.
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  ASSERT_TRUE(world.Take(true).ok());
  EXPECT_TRUE(world.IsWhole());
  EXPECT_EQ(world.Verify(&world.tpm)->aggregates, 3U);
}

TEST(SnapshotTest, SegmentThatDoesNotMatchItsHashIsKeptAsideAndNeverPurgedFor) {
  World world;
  world.kernel.MeasureFiles(3);
  const Bytes before = world.kernel.InMemory();
  world.kernel.lie = Lie::kSegmentHash;
  for (int i = 1; i <= 2; ++i) {
    auto taken = world.Take();
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().code, ErrorCode::kMismatch);
    EXPECT_EQ(taken.error().cause, Cause::kSegmentHash);
    EXPECT_EQ(taken.error().file, kBoot1 + "/00000001.rejected." + std::to_string(i));
    EXPECT_EQ(world.kernel.purges(), 0U);
  }
  EXPECT_THAT(world.fs.Names(kBoot1),
              ElementsAre("00000001.rejected.1", "00000001.rejected.2", "session.json"));
  EXPECT_EQ(world.fs.Read(kBoot1 + "/00000001.rejected.1"), std::string(AsText(before)));
}

TEST(SnapshotTest, NothingIsPurgedIfTheListIsNotWhatTheFileSays) {
  for (const auto& [lie, cause] : std::vector<std::pair<Lie, Cause>>{
           {Lie::kOtherBytes, Cause::kListChanged},
           {Lie::kNoAggregate, Cause::kAggregateMissing},
           {Lie::kOtherRecord, Cause::kAggregateMissing},
           {Lie::kGarbledText, Cause::kNotDecimal},
       }) {
    World world;
    world.kernel.MeasureFiles(3);
    world.kernel.lie = lie;
    const auto taken = world.Take();
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().code, ErrorCode::kMismatch);
    EXPECT_EQ(taken.error().cause, cause);
    EXPECT_EQ(world.kernel.purges(), 0U);
    EXPECT_THAT(world.fs.Names(kBoot1), ElementsAre("00000001.rejected.1", "session.json"));
  }
}

TEST(SnapshotTest, RefusedPurgeLeavesASegmentThatTheNextOneReplaces) {
  World world;
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  world.kernel.write_error = ESHUTDOWN;
  auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().errno_value, ESHUTDOWN);
  EXPECT_EQ(taken.error().cause, Cause::kNotPurged);
  EXPECT_EQ(taken.error().segment, 2U);
  EXPECT_EQ(world.kernel.purges(), 1U);
  EXPECT_TRUE(world.IsWhole());
  world.kernel.MeasureFiles(2);
  auto again = world.Take();
  ASSERT_FALSE(again.ok());
  EXPECT_TRUE(world.IsWhole());
  world.kernel.write_error = 0;
  again = world.Take();
  ASSERT_TRUE(again.ok()) << again.error().ToString();
  EXPECT_EQ(again->segment->number, 4U);
  EXPECT_EQ(again->segment->supersedes, 3U);
  EXPECT_THAT(world.fs.Names(kBoot1), ElementsAre("00000001.ima", "00000001.json", "00000004.ima",
                                                  "00000004.json", "session.json"));
  EXPECT_TRUE(world.IsWhole());
  world.kernel.MeasureFiles(2);
  ASSERT_TRUE(world.Take().ok());
  EXPECT_TRUE(world.IsWhole());
}

TEST(SnapshotTest, ListThatIsOpenForWritingIsInTheWayAndSaid) {
  World world;
  world.kernel.has_staging = true;
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  const std::string name = "binary_runtime_measurements";
  const std::string path = "/sys/kernel/security/ima/" + name;
  std::unique_ptr<File> writer;
  for (const bool mark : {true, false}) {
    writer.reset();
    world.fs.on_call = [&](const std::string& call) {
      if (call == "open /sys/kernel/security/ima/snapshot") {
        writer = std::move(*world.kernel.Open(name, path, true));
      }
    };
    const auto taken = world.Take(mark);
    world.fs.on_call = nullptr;
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().errno_value, EBUSY);
    EXPECT_EQ(taken.error().cause, Cause::kBusy);
  }
  writer.reset();
  EXPECT_TRUE(world.Take().ok());
  EXPECT_TRUE(world.IsWhole());
}

// A program that ignores the lock deletes the segment, after recovery saw that the
// kernel still had it. Then only the store has it.
TEST(SnapshotTest, SegmentWhoseRecordsWereRemovedMeanwhileIsNotReplaced) {
  World world;
  world.kernel.MeasureFiles(3);
  world.TakeUnpurged(EIO);
  const auto bytes = world.fs.Read(world.SegmentPath(1) + ".ima");
  world.fs.on_call = [&](const std::string& call) {
    if (call == "open /sys/kernel/security/ima/snapshot") {
      world.fs.on_call = nullptr;
      Environment other = world.Env();
      other.config.store = "/var/lib/other";
      other.config.lock_file = "/run/lock/other";
      Notes notes;
      ASSERT_TRUE(TakeSnapshot(other, false, &notes).ok());
      world.kernel.MeasureFiles(1);
    }
  };
  auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().cause, Cause::kListChanged);
  EXPECT_EQ(taken.error().segment, 1U);
  EXPECT_EQ(world.kernel.purges(), 1U);
  taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_FALSE(taken->segment->supersedes);
  EXPECT_EQ(world.fs.Read(world.SegmentPath(1) + ".ima"), bytes);
}

TEST(SnapshotTest, PurgeWhoseAnswerIsAnErrorIsSeenInTheList) {
  World world;
  world.kernel.MeasureFiles(3);
  world.kernel.write_error = EIO;
  world.kernel.purge_although_error = true;
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->segment->state, SegmentState::kPurged);
  EXPECT_THAT(world.notes, Contains(IsNote(NoteKind::kPurgedDespiteError, 1)));
  EXPECT_TRUE(world.IsWhole());
}

TEST(SnapshotTest, LockHeldByAnotherIsKLockedAndChangesNothing) {
  World world;
  world.kernel.MeasureFiles(3);
  for (LockMode mode : {LockMode::kShared, LockMode::kExclusive}) {
    const auto lock = AcquireLock(world.Env(), mode);
    ASSERT_TRUE(lock.ok());
    for (bool mark : {false, true}) {
      auto taken = world.Take(mark);
      ASSERT_FALSE(taken.ok());
      EXPECT_EQ(taken.error().code, ErrorCode::kLocked);
    }
  }
  EXPECT_EQ(world.kernel.attempts(), 0U);
  EXPECT_EQ(world.fs.Find(kStore), nullptr);
}

TEST(SnapshotTest, SharedLocksDoNotExcludeEachOtherButASnapshotExcludesReaders) {
  World world;
  const auto first = AcquireLock(world.Env(), LockMode::kShared);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(world.Cat().ok());
  World other;
  const auto held = AcquireLock(other.Env(), LockMode::kExclusive);
  ASSERT_TRUE(held.ok());
  auto cat = other.Cat();
  ASSERT_FALSE(cat.ok());
  EXPECT_EQ(cat.error().code, ErrorCode::kLocked);
}

TEST(SnapshotTest, LockFileOfAnotherIsRefusedAndNothingChanges) {
  World world;
  world.fs.Write(world.config.lock_file, "");
  world.fs.Find(world.config.lock_file)->owner = 1000;
  auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kFailed);
  EXPECT_EQ(taken.error().file, world.config.lock_file);
  EXPECT_EQ(taken.error().cause, Cause::kWrongOwner);
  EXPECT_EQ(taken.error().expected, "0");
  EXPECT_EQ(taken.error().found, "1000");
  EXPECT_EQ(world.Cat().error().cause, Cause::kWrongOwner);
  EXPECT_EQ(world.kernel.attempts(), 0U);
  EXPECT_EQ(world.fs.Find(kStore), nullptr);
}

TEST(SnapshotTest, LockFileIsMadeForTheOwnerAndLeftByNobodyElse) {
  World world;
  ASSERT_TRUE(world.Take().ok());
  EXPECT_EQ(world.fs.Find(world.config.lock_file)->mode, 0640U);
  World other;  // its files belong to user 0, the store should to 1000
  other.owner = 1000;
  const auto cat = other.Cat();
  ASSERT_FALSE(cat.ok());
  EXPECT_EQ(cat.error().cause, Cause::kWrongOwner);
  EXPECT_EQ(cat.error().expected, "1000");
  EXPECT_EQ(cat.error().found, "");
  EXPECT_EQ(other.fs.Find(other.config.lock_file), nullptr);
}

class InterruptTest : public ::testing::TestWithParam<Kind> {};

TEST_P(InterruptTest, GivesUpAtAnyMomentBeforeTheSegmentIsDurable) {
  for (int asked = 1;; ++asked) {
    World world(GetParam());
    world.kernel.MeasureFiles(4);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.MeasureFiles(600);
    const auto before = world.fs.Names(kBoot1);
    int left = asked;
    world.progress = [&left](uint64_t) { return --left != 0; };
    auto taken = world.Take();
    world.progress = {};
    EXPECT_TRUE(world.IsWhole());
    if (taken.ok()) {
      EXPECT_EQ(asked, 4);  // twice while copying, and at the end
      break;
    }
    EXPECT_EQ(taken.error().cause, Cause::kCancelled);
    EXPECT_EQ(world.fs.Names(kBoot1), before);
    EXPECT_EQ(world.kernel.purges(), 1U);
    EXPECT_TRUE(world.Take().ok());
    EXPECT_TRUE(world.IsWhole());
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, InterruptTest, ::testing::Values(Kind::kSnapshot, Kind::kStaging),
                         [](const auto& p) {
                           return p.param == Kind::kSnapshot ? "Snapshot" : "Staging";
                         });

struct StoreRefusal {
  const char* name;
  void (*prepare)(World*);
  ErrorCode code;
  Cause cause;
  int errno_value = 0;
};
class StoreRefusalTest : public ::testing::TestWithParam<StoreRefusal> {};

TEST_P(StoreRefusalTest, NothingIsOpenedNorPurged) {
  World world;
  world.kernel.MeasureFiles(5);
  GetParam().prepare(&world);
  auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, GetParam().code) << taken.error().ToString();
  EXPECT_EQ(taken.error().cause, GetParam().cause) << taken.error().ToString();
  EXPECT_EQ(taken.error().errno_value, GetParam().errno_value);
  if (taken.error().code == ErrorCode::kRefused) {
    EXPECT_EQ(world.fs.Find(kStore + "/boots"), nullptr);
  }
  EXPECT_EQ(world.kernel.attempts(), 0U);
  EXPECT_EQ(world.kernel.purges(), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Stores, StoreRefusalTest,
    ::testing::Values(StoreRefusal{"Tmpfs", [](World* w) { w->fs.magic = kTmpfsMagic; },
                                   ErrorCode::kRefused, Cause::kVolatileStore},
                      StoreRefusal{"Ramfs", [](World* w) { w->fs.magic = kRamfsMagic; },
                                   ErrorCode::kRefused, Cause::kVolatileStore},
                      StoreRefusal{"NoSpace", [](World* w) { w->fs.available = 1U << 20; },
                                   ErrorCode::kFailed, Cause::kNoSpace},
                      StoreRefusal{"SpaceForTheSegment",
                                   [](World* w) {
                                     w->fs.available =
                                         w->config.min_free_space + w->kernel.InMemory().size() - 1;
                                   },
                                   ErrorCode::kFailed, Cause::kNoSpace},
                      StoreRefusal{"ReadOnly", [](World* w) { w->fs.read_only = true; },
                                   ErrorCode::kFailed, Cause::kOther, EROFS},
                      StoreRefusal{"Owner",
                                   [](World* w) {
                                     w->fs.MakeAll(kStore);
                                     w->fs.Find(kStore)->owner = 1000;
                                   },
                                   ErrorCode::kRefused, Cause::kWrongOwner},
                      StoreRefusal{"Writable",
                                   [](World* w) {
                                     w->fs.MakeAll(kStore);
                                     w->fs.Find(kStore)->mode = 0775;
                                   },
                                   ErrorCode::kRefused, Cause::kWrongMode},
                      StoreRefusal{"Link",
                                   [](World* w) {
                                     w->fs.MakeAll("/srv/real");
                                     w->fs.MakeAll("/var/lib");
                                     ASSERT_TRUE(w->fs.Symlink("/srv/real", kStore).ok());
                                   },
                                   ErrorCode::kRefused, Cause::kSymbolicLink},
                      StoreRefusal{"File", [](World* w) { w->fs.Write(kStore, ""); },
                                   ErrorCode::kRefused, Cause::kNotDirectory},
                      StoreRefusal{"NoKernelFile",
                                   [](World* w) { w->kernel.has_snapshot_file = false; },
                                   ErrorCode::kRefused, Cause::kNoBackend}),
    [](const auto& p) { return p.param.name; });

TEST(SnapshotTest, VolatileStoreIsTakenWhenAllowed) {
  World world;
  world.fs.magic = kTmpfsMagic;
  world.config.allow_volatile = true;
  EXPECT_TRUE(world.Take().ok());
  EXPECT_TRUE(world.IsWhole());
}

// The disk is full at every possible byte. Nothing is lost or purged, and if there is
// space again, the next snapshot is whole.
TEST(SnapshotTest, FullDiskAtEveryStageLosesNothing) {
  for (uint64_t room = 0;; room += uint64_t{37} * testing::kCallStep) {
    World world;
    world.kernel.MeasureFiles(4);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.MeasureFiles(4);
    world.fs.room = room;
    auto taken = world.Take();
    EXPECT_TRUE(world.IsWhole()) << room;
    const bool complete = taken.ok() && world.notes.empty();
    if (!taken.ok()) {
      EXPECT_EQ(taken.error().errno_value, ENOSPC);
      EXPECT_EQ(world.kernel.purges(), 1U);
    } else {
      EXPECT_EQ(world.kernel.purges(), 2U);
    }
    world.fs.room.reset();
    world.kernel.MeasureFiles(2);
    ASSERT_TRUE(world.Take().ok()) << room;
    EXPECT_TRUE(world.IsWhole()) << room;
    if (complete) {
      break;
    }
    ASSERT_LT(room, 100000U);
  }
}

class FaultTest : public ::testing::TestWithParam<std::tuple<Kind, FaultCase>> {
 protected:
  static Kind kind() { return std::get<0>(GetParam()); }

  // Brings a world to the point where the fault happens; runs again for every call.
  using Prepare = void (*)(World*);
  // Between the restart and the next snapshot.
  using Meanwhile = void (*)(World*);

  using TakeOnce = Result<TakeResult> (*)(World*);

  // Every call of a snapshot fails, or is the last before a crash. Afterwards,
  // with nothing repaired: the log is whole. After one more snapshot: whole too.
  static void StrikeEveryCall(
      Prepare prepare, Meanwhile meanwhile = [](World*) {},
      TakeOnce take = [](World* world) { return world->Take(); });
};

void FaultTest::StrikeEveryCall(Prepare prepare, Meanwhile meanwhile, TakeOnce take) {
  const FaultCase& param = std::get<1>(GetParam());
  int call = testing::FirstCall();
  for (bool hit = true; hit; call += testing::kCallStep) {
    World world(kind());
    prepare(&world);
    Fault fault = param.fault;
    fault.call = call;
    world.fs.Arm(fault);
    auto taken = take(&world);
    hit = world.fs.fault_hit();
    const bool crashed = world.fs.crashed();
    const std::string where = "call " + std::to_string(call) + ": " + world.fs.fault_call();
    world.fs.Restart(crashed && param.lose_unsynced);
    EXPECT_TRUE(world.IsWhole()) << where;
    if (!taken.ok() && !crashed) {
      // A failure is reported, with the error's own number.
      EXPECT_EQ(taken.error().errno_value, fault.errno_value)
          << where << ": " << taken.error().ToString();
    }
    meanwhile(&world);
    EXPECT_TRUE(world.IsWhole()) << where;
    world.kernel.MeasureFiles(2);
    auto again = world.Take();
    EXPECT_TRUE(again.ok()) << where << ": " << again.error().ToString();
    EXPECT_TRUE(world.IsWhole()) << where;
    // The snapshot's own aggregate; staging has none.
    EXPECT_EQ(world.kernel.in_memory(), kind() == Kind::kSnapshot ? 1U : 0U) << where;
    for (const std::string& name : world.fs.Names(kBoot1)) {
      EXPECT_FALSE(name.ends_with(".tmp")) << where << " left " << name;
    }
  }
  EXPECT_GT(call, 40);
}

TEST_P(FaultTest, NothingIsLostOrStoredTwiceInTheFirstSnapshot) {
  StrikeEveryCall([](World* world) { world->kernel.MeasureFiles(4); });
}

void TakeOne(World* world) {
  world->kernel.MeasureFiles(4);
  ASSERT_TRUE(world->Take().ok());
  world->kernel.MeasureFiles(4);
}

TEST_P(FaultTest, NothingIsLostOrStoredTwiceInTheSecondSnapshot) { StrikeEveryCall(TakeOne); }

void RefusedPurge(World* world) {
  TakeOne(world);
  world->TakeUnpurged(ESHUTDOWN);
  world->kernel.MeasureFiles(2);
}

// The last segment was stored, but not purged: the next one takes its place, or
// what is staged is deleted, and whatever happens on the way, nothing is twice.
TEST_P(FaultTest, NothingIsLostOrStoredTwiceAfterARefusedPurge) { StrikeEveryCall(RefusedPurge); }

TEST_P(FaultTest, NothingIsLostOrStoredTwiceWhenAKexecFollows) {
  StrikeEveryCall(TakeOne, [](World* world) { world->Kexec(); });
}

// And after one: the new kernel has records that the last segment has too.
TEST_P(FaultTest, NothingIsLostOrStoredTwiceIfAKexecCarriedThemOver) {
  StrikeEveryCall([](World* world) {
    RefusedPurge(world);
    world->Kexec();
  });
}

// The machine goes down amid the final snapshot, or executes another kernel.
TEST_P(FaultTest, NothingIsLostOrStoredTwiceInTheFinalSnapshot) {
  StrikeEveryCall(
      TakeOne, [](World* world) { world->Kexec(); },
      [](World* world) { return world->TakeFinal(); });
}

TEST_P(FaultTest, NothingIsLostOrStoredTwiceAfterAFinalSnapshotAndAKexec) {
  StrikeEveryCall([](World* world) {
    TakeOne(world);
    ASSERT_TRUE(world->TakeFinal().ok());
    world->kernel.MeasureFiles(2);
    world->Kexec();
  });
}

// A kernel may have both; the snapshot file wins, and gives way to what is staged.
TEST_P(FaultTest, NothingIsLostOrStoredTwiceIfRecordsWereLeftStaged) {
  StrikeEveryCall([](World* world) {
    world->kernel.has_staging = true;
    TakeOne(world);
    ASSERT_EQ(world->kernel.Stage(), 0);
    world->kernel.MeasureFiles(2);
  });
}

INSTANTIATE_TEST_SUITE_P(Kinds, FaultTest,
                         ::testing::Combine(::testing::Values(Kind::kSnapshot, Kind::kStaging),
                                            ::testing::ValuesIn(testing::kFaultCases)),
                         [](const auto& p) {
                           return std::string(std::get<0>(p.param) == Kind::kSnapshot ? "Snapshot"
                                                                                      : "Staging") +
                                  std::get<1>(p.param).name;
                         });

}  // namespace
}  // namespace imasnap
