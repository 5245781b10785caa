// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <syslog.h>

#include <latch>

#include "daemon/service.h"
#include "daemon_rig.h"

namespace imasnap {
namespace {

using daemon::Service;
using std::chrono::seconds;
using testing::kBoot1;
using testing::Rig;

// The snapshot waits for `go_on`.
void ReloadToAnotherStoreAmidASnapshot(Rig* rig, std::latch* go_on) {
  rig->world.kernel.MeasureFiles(20);
  ASSERT_TRUE(rig->service.Start(rig->now).ok());
  rig->before_recovery = [go_on] { go_on->wait(); };
  EXPECT_EQ(rig->service.Tick(rig->now), Service::kNever);
  rig->config.store = "/srv/ima";
  rig->config.allow_gap = true;
  rig->service.Reload(rig->now);
}

TEST(DaemonControlTest, ReloadToALowerLimitTakesEffectAtOnce) {
  Rig rig;
  rig.config.max_records = 1000;
  rig.world.kernel.MeasureFiles(20);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  rig.config.max_records = 15;
  rig.told.clear();
  rig.service.Reload(rig.now);
  ASSERT_EQ(rig.told.size(), 2U);
  EXPECT_TRUE(rig.told[0].starts_with("RELOADING=1\nMONOTONIC_USEC="));
  EXPECT_EQ(rig.told[1], "READY=1");
  rig.TickAndFinish();
  EXPECT_EQ(rig.world.kernel.in_memory(), 1U);
}

TEST(DaemonControlTest, ReloadOfABrokenConfigurationIsToldAndTheOldOneGoesOn) {
  Rig rig;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.config_error = FileError(ErrorCode::kFailed, Cause::kUnknownName, "/etc/x.conf", "bad");
  rig.told.clear();
  rig.service.Reload(rig.now);
  EXPECT_EQ(rig.told.back(), "READY=1");
  EXPECT_EQ(
      rig.journal.Count(LOG_ERR, {{"IMA_EVENT", "config_rejected"}, {"IMA_CAUSE", "unknown_name"}}),
      1);
  rig.world.kernel.MeasureFiles(9);
  rig.TickAndFinish();
  EXPECT_EQ(rig.world.kernel.purges(), 1U);
}

TEST(DaemonControlTest, ReloadToAnotherStoreTakesEffectWhenTheRunningSnapshotHasEnded) {
  Rig rig;
  std::latch reload_done(1);
  ReloadToAnotherStoreAmidASnapshot(&rig, &reload_done);
  reload_done.count_down();
  rig.Finish();
  EXPECT_TRUE(rig.world.fs.Find(kBoot1 + "/00000001.ima"));
  EXPECT_TRUE(rig.world.fs.Find("/srv/ima/boots/00000001"));
  EXPECT_FALSE(rig.world.fs.Find("/srv/ima/boots/00000001/00000001.ima"));
  EXPECT_EQ(rig.journal.Count(LOG_INFO, {{"IMA_EVENT", "limits"}, {"IMA_STORE", "/srv/ima"}}), 1);
}

TEST(DaemonControlTest, ReloadToAStoreThatIsRefusedKeepsTheOldOne) {
  Rig rig;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.world.fs.MakeAll("/srv/ima");
  rig.world.fs.Find("/srv/ima")->mode = 0777;
  rig.config.store = "/srv/ima";
  rig.config.max_records = 5;
  rig.service.Reload(rig.now);
  EXPECT_EQ(
      rig.journal.Count(LOG_ERR, {{"IMA_EVENT", "config_rejected"}, {"IMA_CAUSE", "wrong_mode"}}),
      1);
  rig.world.kernel.MeasureFiles(7);
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  rig.world.kernel.MeasureFiles(2);
  rig.TickAndFinish();
  EXPECT_TRUE(rig.world.fs.Find(kBoot1 + "/00000001.ima"));
  EXPECT_TRUE(rig.world.IsWhole());
}

TEST(DaemonControlTest, ReloadToAStoreThatLacksWhatWasPurgedKeepsTheOldOneAndMakesNothing) {
  Rig rig;
  rig.world.kernel.MeasureFiles(20);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.TickAndFinish();
  rig.config.store = "/srv/ima";
  rig.service.Reload(rig.now);
  EXPECT_EQ(
      rig.journal.Count(LOG_ERR, {{"IMA_EVENT", "config_rejected"}, {"IMA_CAUSE", "records_gone"}}),
      1);
  EXPECT_EQ(rig.world.fs.Find("/srv/ima"), nullptr);
}

TEST(DaemonControlTest, StopWhenIdleEndsAtOnce) {
  Rig rig;
  rig.world.kernel.MeasureFiles(20);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_FALSE(rig.service.finished());
  rig.service.Stop();
  EXPECT_TRUE(rig.Told("STOPPING=1"));
  EXPECT_TRUE(rig.service.finished());
  EXPECT_EQ(rig.service.Tick(rig.now), Service::kNever);
  EXPECT_EQ(rig.world.kernel.attempts(), 0U);
}

TEST(DaemonControlTest, StopGivesUpASnapshotThatIsNotDurableYet) {
  Rig rig;
  std::latch stopped(1);
  rig.world.kernel.MeasureFiles(20);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.before_recovery = [&] { stopped.wait(); };
  EXPECT_EQ(rig.service.Tick(rig.now), Service::kNever);
  rig.service.Stop();
  EXPECT_FALSE(rig.service.finished());
  stopped.count_down();
  rig.Finish();
  EXPECT_TRUE(rig.service.finished());
  EXPECT_EQ(rig.journal.CountEvent(LOG_NOTICE, "snapshot_cancelled"), 1);
  EXPECT_EQ(rig.journal.Count(LOG_ERR), 0);
  EXPECT_EQ(rig.world.kernel.purges(), 0U);
  EXPECT_TRUE(rig.world.IsWhole());
}

TEST(DaemonControlTest, ReloadEndsTheWaitAfterAFailure) {
  Rig rig;
  rig.world.kernel.lie = testing::Lie::kSegmentHash;
  rig.world.kernel.MeasureFiles(20);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.TickAndFinish();
  ASSERT_EQ(rig.journal.Count(LOG_CRIT, {{"IMA_RETRY_SEC", "3600"}}), 1);
  rig.world.kernel.lie = testing::Lie::kNone;
  rig.now += seconds(10);
  rig.service.Reload(rig.now);
  ASSERT_EQ(rig.service.Tick(rig.now), Service::kNever);
  rig.Finish();
  EXPECT_EQ(rig.world.kernel.purges(), 1U);
}

TEST(DaemonControlTest, ReloadBeforeAStopIsForgotten) {
  Rig rig;
  std::latch stopped(1);
  ReloadToAnotherStoreAmidASnapshot(&rig, &stopped);
  rig.service.Stop();
  stopped.count_down();
  rig.Finish();
  EXPECT_TRUE(rig.service.finished());
  EXPECT_EQ(rig.world.fs.Find("/srv/ima"), nullptr);
}

// Not only the store's name decides whether it is refused.
TEST(DaemonControlTest, ReloadThatForbidsWhatTheStoreNeedsKeepsTheOldConfiguration) {
  for (const bool staging : {false, true}) {
    Rig rig;
    rig.world.kernel.has_snapshot_file = !staging;
    rig.world.kernel.has_staging = staging;
    rig.world.fs.magic = kTmpfsMagic;
    rig.config.allow_volatile = true;
    ASSERT_TRUE(rig.service.Start(rig.now).ok());
    if (staging) {
      rig.config.mode = SnapshotMode::kMark;
    } else {
      rig.config.allow_volatile = false;
    }
    rig.service.Reload(rig.now);
    EXPECT_EQ(rig.journal.Count(LOG_ERR, {{"IMA_EVENT", "config_rejected"},
                                          {"IMA_CAUSE", staging ? "no_mark" : "volatile_store"}}),
              1)
        << staging;
    rig.world.kernel.MeasureFiles(20);
    ASSERT_EQ(rig.service.Tick(rig.now), Service::kNever);
    rig.Finish();
    EXPECT_EQ(rig.world.kernel.purges(), 1U);
  }
}

}  // namespace
}  // namespace imasnap
