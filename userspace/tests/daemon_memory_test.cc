// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the daemon concludes from times: of the last snapshot, of a lock that is held.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <syslog.h>

#include <cerrno>

#include "daemon/service.h"
#include "daemon_rig.h"

namespace imasnap {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::Rig;

// The clock was set back: the age counts from the start, not from years ahead.
TEST(DaemonMemoryTest, ASegmentOfTheFutureHoldsUpNoSnapshot) {
  Rig rig;
  ASSERT_TRUE(rig.world.Take().ok());  // at 03:04:05
  rig.world.kernel.MeasureFiles(3);
  rig.config.max_age_seconds = 3600;
  rig.utc = "2025-01-02T03:04:05Z";
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  rig.now += seconds(3599);
  ASSERT_EQ(rig.service.Tick(rig.now), rig.now + seconds(1));
  rig.now += seconds(1);
  ASSERT_EQ(rig.service.Tick(rig.now), daemon::Service::kNever);
  rig.Finish();
  EXPECT_EQ(rig.world.kernel.purges(), 2U);
  EXPECT_EQ(rig.journal.lines.back().Field("IMA_REASON"), "max_age");
}

// A snapshot that fails for another reason had the lock.
TEST(DaemonMemoryTest, TheLockIsNotHeldForLongIfItWasFreeInBetween) {
  Rig rig;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.world.kernel.MeasureFiles(20);
  const auto held = [&rig] {
    const auto lock = AcquireLock(rig.Env(), LockMode::kExclusive);
    ASSERT_TRUE(lock.ok());
    rig.TickAndFinish();
  };
  held();
  EXPECT_EQ(rig.journal.CountEvent(LOG_INFO, "lock_held"), 1);
  rig.now += minutes(1);
  rig.world.fs.available = 0;
  rig.TickAndFinish();
  EXPECT_EQ(rig.journal.Count(LOG_ERR, {{"IMA_CAUSE", "no_space"}}), 1);
  rig.world.fs.available = uint64_t{1} << 40;
  rig.now += minutes(5);
  held();
  EXPECT_EQ(rig.journal.CountEvent(LOG_INFO, "lock_held"), 2);
  EXPECT_EQ(rig.journal.CountEvent(LOG_WARNING, "lock_held_long"), 0);
}

TEST(DaemonMemoryTest, AnotherTroubleIsTold) {
  Rig rig;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.world.kernel.MeasureFiles(20);
  rig.world.kernel.write_error = EIO;
  rig.TickAndFinish();
  rig.now += seconds(1);
  rig.TickAndFinish();
  EXPECT_EQ(rig.journal.CountEvent(LOG_ERR, "snapshot_failed"), 1);
  rig.world.fs.available = 0;
  rig.now += seconds(2);
  rig.TickAndFinish();
  EXPECT_EQ(rig.journal.CountEvent(LOG_ERR, "snapshot_failed"), 2);
  EXPECT_EQ(rig.journal.Count(LOG_ERR, {{"IMA_CAUSE", "no_space"}}), 1);
}
}  // namespace
}  // namespace imasnap
