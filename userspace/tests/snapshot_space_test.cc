// SPDX-License-Identifier: GPL-2.0-or-later
//
// The space that min_free_space keeps free: before a snapshot, after its copy, and
// before records that were left staged are stored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "world.h"

namespace imasnap {
namespace {

using testing::kBoot1;
using testing::Kind;
using testing::World;

TEST(SnapshotSpaceTest, ToTheByteIsEnough) {
  World world;
  world.kernel.MeasureFiles(4);
  world.fs.available = world.config.min_free_space + world.kernel.InMemory().size();
  const auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_TRUE(world.IsWhole());
}

// Other programs use it, or the copy if the kernel reports no size.
TEST(SnapshotSpaceTest, ThatIsUsedUpWhileTheRecordsAreCopiedEndsTheSnapshot) {
  for (const Kind kind : {Kind::kSnapshot, Kind::kStaging}) {
    World world(kind);
    world.kernel.MeasureFiles(4);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.MeasureFiles(4);
    const auto before = world.fs.Names(kBoot1);
    const uint64_t available = world.fs.available;
    world.fs.on_call = [&world](const std::string& call) {
      if (call == "fsync " + world.SegmentPath(2) + ".ima.tmp") {
        world.fs.available = world.config.min_free_space - 1;
      }
    };
    const auto taken = world.Take();
    world.fs.on_call = {};
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().cause, Cause::kNoSpace);
    EXPECT_EQ(world.fs.Names(kBoot1), before);
    EXPECT_EQ(world.kernel.purges(), 1U);
    EXPECT_TRUE(world.IsWhole());
    world.fs.available = available;
    ASSERT_TRUE(world.Take().ok());
    EXPECT_TRUE(world.IsWhole());
  }
}

TEST(SnapshotSpaceTest, IsLookedAtBeforeStagedRecordsAreStored) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(4);
  ASSERT_EQ(world.kernel.Stage(), 0);
  world.fs.available = world.config.min_free_space - 1;
  bool begun = false;
  world.fs.on_call = [&](const std::string& call) {
    begun = begun || call == "open " + world.SegmentPath(1) + ".ima.tmp";
  };
  const auto repaired = world.Repair();
  world.fs.on_call = {};
  ASSERT_FALSE(repaired.ok());
  EXPECT_EQ(repaired.error().cause, Cause::kNoSpace);
  EXPECT_FALSE(begun);
  EXPECT_EQ(world.kernel.staged(), 5U);
}

}  // namespace
}  // namespace imasnap
