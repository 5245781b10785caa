// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the daemon starts with: by staging, or only to mark.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/startup.h"
#include "daemon_rig.h"

namespace imasnap {
namespace {

using testing::kBoot1;
using testing::Kind;
using testing::kStore;
using testing::Rig;
using testing::World;

TEST(DaemonStartupTest, WithStagingAloneNothingCanBeMarked) {
  World world(Kind::kStaging);
  world.config.mode = SnapshotMode::kMark;
  Notes notes;
  const auto prepared = daemon::Prepare(world.Env(), &notes);
  ASSERT_FALSE(prepared.ok());
  EXPECT_EQ(prepared.error().code, ErrorCode::kRefused);
  EXPECT_EQ(prepared.error().cause, Cause::kNoMark);
}

TEST(DaemonStartupTest, ToMarkNoStoreIsMadeNorLookedAt) {
  World world;
  world.config.mode = SnapshotMode::kMark;
  world.fs.magic = kTmpfsMagic;
  Notes notes;
  const auto prepared = daemon::Prepare(world.Env(), &notes);
  ASSERT_TRUE(prepared.ok()) << prepared.error().ToString();
  EXPECT_FALSE(prepared->last);
  EXPECT_EQ(world.fs.Find(kStore), nullptr);
}

// It leaves no aggregate in the list: the first record there is a new one.
TEST(DaemonStartupTest, ByStagingTheFirstRecordIsDueWhenItIsOld) {
  Rig rig;
  rig.world.kernel.has_snapshot_file = false;
  rig.world.kernel.has_staging = true;
  ASSERT_TRUE(rig.world.Take().ok());  // at 03:04:05
  rig.world.kernel.Measure(testing::NgRecord("/one"));
  rig.config.max_age_seconds = 60;
  rig.utc = "2026-01-02T03:05:05Z";
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  ASSERT_EQ(rig.service.Tick(rig.now), daemon::Service::kNever);
  rig.Finish();
  EXPECT_NE(rig.world.fs.Find(kBoot1 + "/00000002.ima"), nullptr);
  EXPECT_EQ(rig.world.kernel.in_memory(), 0U);
}

}  // namespace
}  // namespace imasnap
