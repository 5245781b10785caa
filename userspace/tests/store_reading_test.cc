// SPDX-License-Identifier: GPL-2.0-or-later
//
// How a store is read: names that are not numbers, lost files, and errors during the
// read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "store/store.h"
#include "world.h"

namespace imasnap {
namespace {

using ::testing::ElementsAre;
using testing::Fault;
using testing::kBoot1;
using testing::Kind;
using testing::kStore;
using testing::World;

std::vector<uint64_t> Numbers(const std::vector<Segment>& segments) {
  std::vector<uint64_t> numbers;
  for (const Segment& segment : segments) {
    numbers.push_back(segment.number);
  }
  return numbers;
}

// Each of these would be read as a session or segment of another name.
TEST(StoreReadingTest, NamesThatNoSnapshotGivesAreLeftAlone) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  for (const char* name : {"000000009", "0000009", "00000000", "00000009x", "+0000009"}) {
    world.fs.MakeAll(kStore + "/boots/" + name);
    world.fs.Write(kBoot1 + "/" + name + ".ima", "no segment");
    world.fs.Write(kBoot1 + "/" + name + ".json", "{}");
  }
  world.kernel.MeasureFiles(2);
  const auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->session, 1U);
  EXPECT_EQ(taken->segment->number, 2U);
  EXPECT_TRUE(world.IsWhole());
}

TEST(StoreReadingTest, TheNewestSessionHasTheHighestNumberAlsoBeyondEightDigits) {
  World world;
  const Store store = world.Env().store();
  for (const uint64_t id : {99999999U, 100000000U}) {
    const SessionInfo info{id, "2026-01-02T03:04:05Z", "7.3.0-test", 5, "", "", "", ""};
    ASSERT_TRUE(store.CreateSession(info).ok());
  }
  EXPECT_THAT(store.Sessions().value(), ElementsAre(99999999U, 100000000U));
  EXPECT_EQ((*store.LoadNewest())->id, 100000000U);
}

// Its bytes were lost: then those of the segment that it took the place of are all
// there is.
TEST(StoreReadingTest, SegmentWithoutItsBytesTakesNoOthersPlace) {
  World world;
  world.kernel.MeasureFiles(4);
  world.TakeUnpurged(EIO);
  Fault fault;
  fault.kind = Fault::Kind::kCrashBefore;
  fault.at = "unlink " + world.SegmentPath(1) + ".ima";
  world.fs.Arm(fault);
  ASSERT_TRUE(world.Take().ok());
  world.fs.Restart(/*lose_unsynced=*/false);
  ASSERT_THAT(Numbers((*world.Env().store().LoadNewest())->superseded), ElementsAre(1U));
  world.fs.Remove(world.SegmentPath(2) + ".ima");
  EXPECT_THAT(Numbers((*world.Env().store().LoadNewest())->segments), ElementsAre(1U, 2U));
  ASSERT_TRUE(world.Repair().ok());
  EXPECT_NE(world.fs.Find(world.SegmentPath(1) + ".ima"), nullptr);
}

// People and scripts rely on it.
TEST(StoreReadingTest, TheLinkToTheCurrentSessionIsDurable) {
  World world;
  ASSERT_TRUE(world.Take().ok());
  world.fs.Restart(/*lose_unsynced=*/true);
  ASSERT_NE(world.fs.Find(kStore + "/current"), nullptr);
  EXPECT_EQ(world.fs.Find(kStore + "/current")->target, "boots/00000001");
  world.ColdBoot(6);
  ASSERT_TRUE(world.Take().ok());
  world.fs.Restart(/*lose_unsynced=*/true);
  EXPECT_EQ(world.fs.Find(kStore + "/current")->target, "boots/00000002");
}

// Of the disk, which may answer the next time: what cannot be read is not taken
// for what is broken, and nothing is written over it.
TEST(StoreReadingTest, AnErrorWhileMetadataIsReadEndsTheSnapshotAndChangesNothing) {
  for (const Kind kind : {Kind::kSnapshot, Kind::kStaging}) {
    World world(kind);
    world.kernel.MeasureFiles(4);
    ASSERT_TRUE(world.Take().ok());
    const std::string path = world.SegmentPath(1) + ".json";
    const auto text = world.fs.Read(path);
    const auto names = world.fs.Names(kBoot1);
    Fault fault;
    fault.errno_value = EIO;
    fault.at = "read " + path;
    world.fs.Arm(fault);
    const auto taken = world.Take();
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().errno_value, EIO);
    EXPECT_EQ(taken.error().file, path);
    world.fs.Arm({});
    EXPECT_EQ(world.fs.Read(path), text);
    EXPECT_EQ(world.fs.Names(kBoot1), names);
    EXPECT_EQ(world.kernel.attempts(), kind == Kind::kSnapshot ? 1U : 0U);
  }
}

TEST(StoreReadingTest, AnErrorWhileASegmentIsReadEndsTheSnapshotToo) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.fs.Remove(world.SegmentPath(1) + ".json");
  Fault fault;
  fault.errno_value = EIO;
  fault.at = "read " + world.SegmentPath(1) + ".ima";
  world.fs.Arm(fault);
  const auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().errno_value, EIO);
  world.fs.Arm({});
  ASSERT_TRUE(world.Take().ok());
  EXPECT_TRUE(world.IsWhole());
}

// Above it there may be directories of others, and file systems with nothing to
// sync; of its own each must be durable before the kernel deletes.
TEST(StoreReadingTest, DirectoriesThatCannotBeSyncedAreOnlyForgivenAboveTheStore) {
  for (const int error : {EINVAL, EACCES}) {
    for (const std::string& directory : {std::string("/var"), kStore, kStore + "/boots"}) {
      World world;
      world.fs.MakeAll("/run/lock");
      world.fs.MakeAll(kStore + "/boots");
      world.config.lock_file = "/run/lock/ima";
      world.kernel.MeasureFiles(4);
      Fault fault;
      fault.errno_value = error;
      fault.at = "fsync " + directory;
      world.fs.Arm(fault);
      EXPECT_EQ(world.Take().ok(), directory == "/var") << directory;
      EXPECT_TRUE(world.fs.fault_hit()) << directory;
      EXPECT_EQ(world.kernel.purges(), directory == "/var" ? 1U : 0U);
    }
  }
}

}  // namespace
}  // namespace imasnap
