// SPDX-License-Identifier: GPL-2.0-or-later
//
// STORE.md numbers the steps by which a store goes from one state to the next. Here the
// process dies right after each step. The tests check what is found then, and what the
// next snapshot reports to have repaired. With a power failure instead, unsynced data
// is lost too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "world.h"

namespace imasnap {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::Fault;
using testing::IsNote;
using testing::kBoot1;
using testing::Kind;
using testing::kStore;
using testing::World;

const std::string kSnapshotFile = "/sys/kernel/security/ima/snapshot";
const std::string kStagedFile = "/sys/kernel/security/ima/binary_runtime_measurements_staged";
const std::string kBoots = kStore + "/boots";
const std::string kBoot2 = kBoots + "/00000002";
const std::string kTwo = kBoot1 + "/00000002";

// Dies after the call instead of taking the snapshot.
void DieAfter(World* world, const std::string& call, int skip, bool lose_unsynced) {
  Fault fault;
  fault.kind = Fault::Kind::kCrashAfter;
  fault.at = call;
  fault.skip = skip;
  world->fs.Arm(fault);
  static_cast<void>(world->Take());
  ASSERT_TRUE(world->fs.crashed()) << call << " was not reached";
  world->fs.Restart(lose_unsynced);
}

void OneSegment(World* world) {
  world->kernel.MeasureFiles(4);
  ASSERT_TRUE(world->Take().ok());
  world->kernel.MeasureFiles(4);
}

// Segment 2 is stored, its records stayed in the kernel and went over a kexec.
void CarriedOver(World* world) {
  OneSegment(world);
  world->TakeUnpurged(EIO);
  world->Kexec();
}

std::string PurgeOf(const World& world) {
  return world.kernel.has_snapshot_file ? "write 1 " + kSnapshotFile : "write D " + kStagedFile;
}

void DiedCopying(World* world) {
  OneSegment(world);
  DieAfter(world, "fsync " + kTwo + ".ima.tmp", 0, false);
}

void DiedBeforeMetadata(World* world) {
  OneSegment(world);
  DieAfter(world, "fsync " + kBoot1, 1, false);
}

void DiedBeforePurging(World* world) {
  OneSegment(world);
  DieAfter(world, "fsync " + kBoot1, 2, false);
}

void DiedBeforeNoting(World* world) {
  OneSegment(world);
  DieAfter(world, PurgeOf(*world), 0, false);
}

void DiedBeforeRemovingTheSuperseded(World* world) {
  CarriedOver(world);
  DieAfter(world, PurgeOf(*world), 0, false);
}

void LeftStaged(World* world) {
  OneSegment(world);
  ASSERT_EQ(world->kernel.Stage(), 0);
  world->kernel.MeasureFiles(2);
}

void NextBoot(World* world) {
  world->config.keep_boots = 1;
  OneSegment(world);
  world->ColdBoot(6);
  world->kernel.MeasureFiles(3);
}

struct Expected {
  NoteKind kind;
  uint64_t number = 0;
  std::string file{};
};

// Of a directory: the first fsync is recovery's, of what it found.
struct Arrow {
  std::string name;
  void (*prepare)(World*);
  std::string after;
  int skip = 0;
  std::string where;               // a directory, and what is
  std::vector<std::string> found;  // found in it after the death
  std::optional<Expected> note;    // of the next snapshot
};

const std::vector<std::string> kSegment1 = {"00000001.ima", "00000001.json"};

std::vector<std::string> Files(std::vector<std::string> more) {
  more.insert(more.end(), kSegment1.begin(), kSegment1.end());
  more.emplace_back("session.json");
  std::ranges::sort(more);
  return more;
}

// T: steps of a snapshot.
std::vector<Arrow> Taking(bool snapshot) {
  const std::string open = snapshot ? "open " + kSnapshotFile : "write A " + kStagedFile;
  const std::string purge = snapshot ? "write 1 " + kSnapshotFile : "write D " + kStagedFile;
  const Expected interrupted = {NoteKind::kTemporaryRemoved, 0, kTwo + ".ima.tmp"};
  const Expected staged = snapshot ? interrupted : Expected{NoteKind::kStagedStored, 2};
  const Expected stored = {snapshot ? NoteKind::kNotPurged : NoteKind::kStagedPurged, 2};
  const Expected rewritten = {NoteKind::kMetadataRewritten, 2};
  const Expected removed = {NoteKind::kSupersededRemoved, 2};
  const std::vector<std::string> data = Files({"00000002.ima"});
  const std::vector<std::string> whole = Files({"00000002.ima", "00000002.json"});
  const std::vector<std::string> both =
      Files({"00000002.ima", "00000002.json", "00000003.ima", "00000003.json"});
  const Expected unseen = {NoteKind::kPurgeRecognized, 2};
  return {
      {"T1", OneSegment, "open " + kTwo + ".ima.tmp", 0, kBoot1, Files({"00000002.ima.tmp"}),
       interrupted},
      {"T2", OneSegment, open, 0, kBoot1, Files({"00000002.ima.tmp"}), staged},
      {"T3", OneSegment, "fsync " + kTwo + ".ima.tmp", 0, kBoot1, Files({"00000002.ima.tmp"}),
       interrupted},
      {"T4", OneSegment, "rename " + kTwo + ".ima.tmp", 0, kBoot1, data, rewritten},
      {"T5", OneSegment, "fsync " + kBoot1, 1, kBoot1, data, rewritten},
      {"T6", OneSegment, "rename " + kTwo + ".json.tmp", 0, kBoot1, whole, stored},
      {"T7", OneSegment, "fsync " + kBoot1, 2, kBoot1, whole, stored},
      {"T8", OneSegment, purge, 0, kBoot1, whole, unseen},
      {"T9", OneSegment, "rename " + kTwo + ".json.tmp", 1, kBoot1, whole, {}},
      {"T10", CarriedOver, purge, 0, kBoot1, both, removed},
      {"T11", CarriedOver, "unlink " + kTwo + ".ima", 0, kBoot1,
       Files({"00000002.json", "00000003.ima", "00000003.json"}), removed},
      {"T12",
       CarriedOver,
       "unlink " + kTwo + ".json",
       0,
       kBoot1,
       Files({"00000003.ima", "00000003.json"}),
       {}},
  };
}

// R: steps of the recovery by the next snapshot, which dies too.
std::vector<Arrow> Recovering(bool snapshot) {
  const std::vector<std::string> whole = Files({"00000002.ima", "00000002.json"});
  std::vector<Arrow> arrows = {
      {"R1", DiedCopying, "unlink " + kTwo + ".ima.tmp", 0, kBoot1, Files({}),
       snapshot ? std::optional<Expected>() : Expected{NoteKind::kStagedStored, 2}},
      {"R2", DiedBeforeRemovingTheSuperseded, "unlink " + kTwo + ".ima", 0, kBoot1,
       Files({"00000002.json", "00000003.ima", "00000003.json"}),
       Expected{NoteKind::kSupersededRemoved, 2}},
      {"R3", DiedBeforeRemovingTheSuperseded, "unlink " + kTwo + ".json", 0, kBoot1,
       Files({"00000003.ima", "00000003.json"}), Expected{NoteKind::kPurgeRecognized, 3}},
      {"R4", DiedBeforeMetadata, "rename " + kTwo + ".json.tmp", 0, kBoot1, whole,
       Expected{snapshot ? NoteKind::kNotPurged : NoteKind::kStagedPurged, 2}},
      {"R5", DiedBeforeNoting, "rename " + kTwo + ".json.tmp", 0, kBoot1, whole, {}},
  };
  if (!snapshot) {
    arrows.push_back({"R6", DiedBeforePurging, "write D " + kStagedFile, 0, kBoot1, whole,
                      Expected{NoteKind::kPurgeRecognized, 2}});
  }
  // With either file the records that were left staged go through T1 to T9 first.
  arrows.push_back({"R7", LeftStaged, "fsync " + kBoot1, 2, kBoot1, whole,
                    Expected{NoteKind::kStagedPurged, 2}});
  arrows.push_back({"R8", LeftStaged, "write D " + kStagedFile, 0, kBoot1, whole,
                    Expected{NoteKind::kPurgeRecognized, 2}});
  return arrows;
}

// B: the first snapshot of another boot; keep_boots is 1.
std::vector<Arrow> Booting() {
  const std::vector<std::string> one = {"00000001"};
  const std::vector<std::string> two = {"00000001", "00000002"};
  const std::vector<std::string> removing = {"00000001.removed", "00000002"};
  const Expected begins = {NoteKind::kSessionClosed, 1};
  const Expected finished = {NoteKind::kRemovalFinished, 0, "00000001.removed"};
  const Expected removed = {NoteKind::kSessionRemoved, 1};
  return {
      {"B1", NextBoot, "rename " + kBoot1 + "/session.json.tmp", 0, kBoots, one, begins},
      {"B2", NextBoot, "mkdir " + kBoot2, 0, kBoots, two, removed},
      {"B3", NextBoot, "rename " + kBoot2 + "/session.json.tmp", 0, kBoots, two, removed},
      {"B4", NextBoot, "symlink " + kStore + "/current.tmp", 0, kBoots, two, removed},
      {"B5", NextBoot, "rename " + kStore + "/current.tmp", 0, kBoots, two, removed},
      {"B6", NextBoot, "rename " + kBoot1, 0, kBoots, removing, finished},
      {"B7", NextBoot, "unlink " + kBoot1 + ".removed/00000001.ima", 0, kBoots, removing, finished},
      {"B8", NextBoot, "unlink " + kBoot1 + ".removed/session.json", 0, kBoots, removing, finished},
      {"B9", NextBoot, "rmdir " + kBoot1 + ".removed", 0, kBoots, {"00000002"}, {}},
  };
}

struct Case {
  Kind kind = Kind::kSnapshot;
  Arrow arrow;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (Kind kind : {Kind::kSnapshot, Kind::kStaging}) {
    const bool snapshot = kind == Kind::kSnapshot;
    for (const auto& arrows : {Taking(snapshot), Recovering(snapshot), Booting()}) {
      for (const Arrow& arrow : arrows) {
        cases.push_back({kind, arrow});
      }
    }
  }
  return cases;
}

class ArrowTest : public ::testing::TestWithParam<Case> {
 protected:
  ArrowTest() { world_.kernel.has_staging = true; }

  void Die(bool lose_unsynced) {
    arrow_.prepare(&world_);
    DieAfter(&world_, arrow_.after, arrow_.skip, lose_unsynced);
  }

  // The last segment of the next snapshots is whole and nothing is left over.
  void ExpectGoodEnd() {
    EXPECT_TRUE(world_.IsWhole());
    world_.kernel.MeasureFiles(2);
    const auto taken = world_.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_TRUE(world_.IsWhole());
    for (const std::string& directory : {kStore, kBoots, kBoot1, kBoot2}) {
      for (const std::string& name : world_.fs.Names(directory)) {
        EXPECT_FALSE(name.ends_with(".tmp") || name.ends_with(".removed")) << name;
      }
    }
    EXPECT_EQ(world_.fs.Find(kStore + "/current")->target, "boots/" + SegmentName(taken->session));
  }

  const Arrow& arrow_ = GetParam().arrow;
  World world_{GetParam().kind};
};

TEST_P(ArrowTest, DeathAfterItIsMadeUpFor) {
  Die(/*lose_unsynced=*/false);
  EXPECT_THAT(world_.fs.Names(arrow_.where), ElementsAreArray(arrow_.found));
  ExpectGoodEnd();
  if (arrow_.note) {
    EXPECT_THAT(world_.notes,
                Contains(IsNote(arrow_.note->kind, arrow_.note->number, arrow_.note->file)));
  } else {
    EXPECT_THAT(world_.notes, ElementsAre());
  }
}

TEST_P(ArrowTest, PowerFailureAfterItIsMadeUpFor) {
  Die(/*lose_unsynced=*/true);
  ExpectGoodEnd();
}

// The segment that the next snapshot found, and for which it purged, must be durable:
// after a kexec the kernel has no other copy.
TEST_P(ArrowTest, PowerFailureAfterTheNextSnapshotIsMadeUpFor) {
  Die(/*lose_unsynced=*/false);
  const auto taken = world_.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  world_.fs.Restart(/*lose_unsynced=*/true);
  ExpectGoodEnd();
}

INSTANTIATE_TEST_SUITE_P(Store, ArrowTest, ::testing::ValuesIn(Cases()), [](const auto& p) {
  return (p.param.kind == Kind::kSnapshot ? "Snapshot" : "Staging") + p.param.arrow.name;
});

}  // namespace
}  // namespace imasnap
