// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <syslog.h>

#include <cerrno>
#include <latch>

#include "daemon/service.h"
#include "daemon_rig.h"

namespace imasnap {
namespace {

using daemon::Service;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::JournalLine;
using testing::kBoot1;
using testing::kStore;
using testing::Rig;
using ::testing::StartsWith;

TEST(DaemonTest, ReportsThatItIsReadyAndTakesNothingBelowTheLimit) {
  Rig rig;
  rig.world.kernel.MeasureFiles(8);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_THAT(rig.told, ::testing::ElementsAre("READY=1"));
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  EXPECT_THAT(rig.told.back(), StartsWith("STATUS=9 records in memory; last snapshot: none yet"));
  EXPECT_FALSE(rig.worker->running());
  EXPECT_EQ(rig.world.kernel.attempts(), 0U);
}

TEST(DaemonTest, TakesASnapshotAtTheLimitAndReportsItsFigures) {
  Rig rig;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.world.kernel.MeasureFiles(9);
  EXPECT_EQ(rig.TickAndFinish(), rig.now + seconds(5));
  EXPECT_EQ(rig.world.kernel.in_memory(), 1U);
  EXPECT_TRUE(rig.world.IsWhole());
  const JournalLine& line = rig.journal.lines.back();
  EXPECT_EQ(line.priority, LOG_INFO);
  EXPECT_EQ(line.Field("IMA_EVENT"), "snapshot_taken");
  EXPECT_EQ(line.Field("IMA_SESSION"), "1");
  EXPECT_EQ(line.Field("IMA_SEGMENT"), "1");
  EXPECT_EQ(line.Field("IMA_ATTEMPT"), "1");
  EXPECT_EQ(line.Field("IMA_RECORDS"), "10");
  EXPECT_EQ(line.Field("IMA_BYTES"),
            std::to_string(rig.world.fs.Read(kBoot1 + "/00000001.ima")->size()));
  EXPECT_EQ(line.Field("IMA_REASON"), "max_records");
  EXPECT_NE(line.Field("IMA_DURATION_USEC"), "");
  EXPECT_THAT(rig.told.back(),
              StartsWith("STATUS=1 record in memory; last snapshot: segment 00000001 of 2026"));
}

TEST(DaemonTest, LooksAgainNoSoonerThanTheIntervalWhateverASnapshotLeaves) {
  Rig rig;
  rig.world.kernel.records_after_open = 20;
  rig.world.kernel.MeasureFiles(20);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_EQ(rig.TickAndFinish(), rig.now + seconds(5));
  rig.now += seconds(4);
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(1));
  rig.now += seconds(1);
  EXPECT_EQ(rig.TickAndFinish(), rig.now + seconds(5));
  EXPECT_EQ(rig.world.kernel.attempts(), 2U);
  EXPECT_TRUE(rig.world.IsWhole());
}

TEST(DaemonTest, AgeAloneTakesNoSnapshotOfTheAggregateAlone) {
  Rig rig;
  rig.config.max_age_seconds = 60;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.now += hours(5);
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  rig.world.kernel.MeasureFiles(1);
  rig.TickAndFinish();
  EXPECT_EQ(rig.world.kernel.purges(), 1U);
  rig.now += hours(5);
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  EXPECT_EQ(rig.world.kernel.attempts(), 1U);
}

TEST(DaemonTest, AgeCountsFromTheLastSegmentAlsoOverARestart) {
  Rig rig;
  rig.world.kernel.MeasureFiles(3);
  ASSERT_TRUE(rig.world.Take().ok());  // at 03:04:05
  rig.world.kernel.MeasureFiles(3);
  rig.config.max_age_seconds = 3600;
  rig.utc = "2026-01-02T04:04:03Z";
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(2));
  rig.now += seconds(2);
  rig.TickAndFinish();
  EXPECT_EQ(rig.world.kernel.purges(), 2U);
  EXPECT_EQ(rig.journal.lines.back().Field("IMA_REASON"), "max_age");
}

struct StartRefusal {
  const char* name;
  void (*prepare)(Rig*);
  std::string file;
  Cause cause;
};
class StartRefusalTest : public ::testing::TestWithParam<StartRefusal> {};

TEST_P(StartRefusalTest, DoesNotRunAndTouchesNothing) {
  Rig rig;
  rig.world.kernel.MeasureFiles(20);
  GetParam().prepare(&rig);
  const Status started = rig.service.Start(rig.now);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::kRefused) << started.error().ToString();
  EXPECT_EQ(started.error().file, GetParam().file);
  EXPECT_EQ(started.error().cause, GetParam().cause);
  EXPECT_THAT(rig.told, IsEmpty());
  EXPECT_EQ(rig.world.kernel.attempts(), 0U);
  EXPECT_EQ(rig.world.fs.Find(kBoot1), nullptr);
}

INSTANTIATE_TEST_SUITE_P(
    Reasons, StartRefusalTest,
    ::testing::Values(StartRefusal{"Config",
                                   [](Rig* r) {
                                     r->config_error =
                                         FileError(ErrorCode::kRefused, Cause::kSyntax, "/etc/x",
                                                   "line 1: bad");
                                   },
                                   "/etc/x", Cause::kSyntax},
                      StartRefusal{"Tmpfs", [](Rig* r) { r->world.fs.magic = kTmpfsMagic; }, kStore,
                                   Cause::kVolatileStore},
                      StartRefusal{"BelowTmp",
                                   [](Rig* r) {
                                     r->config.store = "/var/tmp/ima";
                                     r->config.allow_volatile = true;
                                   },
                                   "/var/tmp/ima", Cause::kTemporaryStore},
                      StartRefusal{"Owner",
                                   [](Rig* r) {
                                     r->world.fs.MakeAll(kStore);
                                     r->world.fs.Find(kStore)->owner = 1000;
                                   },
                                   kStore, Cause::kWrongOwner},
                      StartRefusal{"Writable",
                                   [](Rig* r) {
                                     r->world.fs.MakeAll(kStore);
                                     r->world.fs.Find(kStore)->mode = 0770;
                                   },
                                   kStore, Cause::kWrongMode},
                      StartRefusal{"Kernel",
                                   [](Rig* r) { r->world.kernel.has_snapshot_file = false; }, "",
                                   Cause::kNoBackend}),
    [](const auto& p) { return p.param.name; });

TEST(DaemonTest, RepairsTheStoreAtStartAndSaysWhatItDid) {
  Rig rig;
  rig.world.kernel.MeasureFiles(3);
  ASSERT_TRUE(rig.world.Take().ok());
  rig.world.fs.Write(kBoot1 + "/00000002.ima.tmp", "half");
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_EQ(rig.world.fs.Read(kBoot1 + "/00000002.ima.tmp"), std::nullopt);
  EXPECT_EQ(rig.journal.CountEvent(LOG_NOTICE, "temporary_removed"), 1);
  EXPECT_EQ(rig.world.kernel.attempts(), 1U);
}

TEST(DaemonTest, ClosesTheSessionsOfEarlierBootsAtStartAndKeepsSoManyAsConfigured) {
  Rig rig;
  for (uint32_t boot = 1; boot <= 3; ++boot) {
    rig.world.ColdBoot(boot);
    rig.world.kernel.MeasureFiles(3);
    ASSERT_TRUE(rig.world.Take().ok());
  }
  rig.world.ColdBoot(4);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_THAT(rig.world.fs.Names(kStore + "/boots"),
              ::testing::ElementsAre("00000003", "00000004"));
  EXPECT_EQ(rig.journal.Count(LOG_NOTICE, {{"IMA_EVENT", "session_closed"}, {"IMA_NUMBER", "3"}}),
            1);
  EXPECT_EQ(rig.journal.Count(LOG_NOTICE, {{"IMA_EVENT", "session_removed"}, {"IMA_NUMBER", "2"}}),
            1);
  // The age of another boot's segment says nothing about this one.
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  EXPECT_THAT(rig.told.back(), HasSubstr("last snapshot: none yet"));
}

TEST(DaemonTest, RunsOnIfTheStoreCannotBeRepairedYet) {
  Rig rig;
  rig.world.kernel.MeasureFiles(20);
  rig.world.fs.read_only = true;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_TRUE(rig.Told("READY=1"));
  EXPECT_EQ(rig.journal.Count(LOG_ERR, {{"ERRNO", std::to_string(EROFS)}, {"IMA_RETRY_SEC", "1"}}),
            1);
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(1));
  rig.now += seconds(1);
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(2));
  rig.world.fs.read_only = false;
  rig.now += seconds(2);
  rig.TickAndFinish();
  EXPECT_EQ(rig.world.kernel.purges(), 1U);
  EXPECT_TRUE(rig.world.IsWhole());
}

// Records that a process which died left staged, and a disk that fills up.
TEST(DaemonTest, RunsOnIfWhatIsStagedDoesNotFitYet) {
  Rig rig;
  rig.world.kernel.has_snapshot_file = false;
  rig.world.kernel.has_staging = true;
  rig.world.kernel.MeasureFiles(20);
  ASSERT_EQ(rig.world.kernel.Stage(), 0);
  rig.world.fs.available = 1U << 20;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_TRUE(rig.Told("READY=1"));
  EXPECT_EQ(rig.journal.Count(LOG_ERR, {{"IMA_CAUSE", "no_space"}}), 1);
  rig.service.Reload(rig.now);
  EXPECT_EQ(rig.journal.CountEvent(LOG_ERR, "config_rejected"), 0);
  rig.world.fs.available = uint64_t{1} << 40;
  rig.now += seconds(1);
  rig.service.Tick(rig.now);
  EXPECT_EQ(rig.world.kernel.staged(), 0U);
  EXPECT_EQ(rig.journal.CountEvent(LOG_NOTICE, "staged_stored"), 1);
  EXPECT_TRUE(rig.world.IsWhole());
}

TEST(DaemonTest, TakesAnotherStoreAlsoIfWhatIsStagedDoesNotFitYet) {
  Rig rig;
  rig.world.kernel.has_snapshot_file = false;
  rig.world.kernel.has_staging = true;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.world.kernel.MeasureFiles(20);
  ASSERT_EQ(rig.world.kernel.Stage(), 0);
  rig.world.fs.available = 1U << 20;
  rig.config.store = "/srv/ima";
  rig.service.Reload(rig.now);
  EXPECT_EQ(rig.journal.CountEvent(LOG_ERR, "config_rejected"), 0);
  rig.world.fs.available = uint64_t{1} << 40;
  rig.now += seconds(1);
  rig.service.Tick(rig.now);
  EXPECT_TRUE(rig.world.fs.Read("/srv/ima/boots/00000001/00000001.ima"));
}

TEST(DaemonTest, ErrorIsLoggedOnceAndTriedAgainLaterAndLaterUntilItWorks) {
  Rig rig;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.world.kernel.MeasureFiles(20);
  rig.world.fs.available = 1U << 20;
  for (const int wait : {1, 2, 4, 8}) {
    // The figures in the message differ; the trouble does not.
    rig.world.fs.available -= 1000;
    EXPECT_EQ(rig.TickAndFinish(), rig.now + std::min<daemon::Time>(seconds(wait), seconds(5)));
    rig.now += seconds(wait);
  }
  EXPECT_EQ(rig.journal.Count(LOG_ERR, {{"IMA_CAUSE", "no_space"}, {"IMA_RETRY_SEC", "1"}}), 1);
  EXPECT_EQ(rig.journal.Count(LOG_ERR), 1);
  EXPECT_EQ(rig.journal.Count(LOG_DEBUG, {{"IMA_CAUSE", "no_space"}}), 3);
  EXPECT_EQ(rig.world.kernel.attempts(), 0U);
  rig.world.fs.available = uint64_t{1} << 40;
  rig.TickAndFinish();
  EXPECT_EQ(rig.world.kernel.purges(), 1U);
  EXPECT_EQ(rig.journal.lines.back().Field("IMA_FAILURES"), "4");
  // The next failure is a new one.
  rig.world.kernel.MeasureFiles(20);
  rig.world.fs.available = 1U << 20;
  rig.now += seconds(5);
  EXPECT_EQ(rig.TickAndFinish(), rig.now + seconds(1));
  EXPECT_EQ(rig.journal.Count(LOG_ERR, {{"IMA_CAUSE", "no_space"}}), 2);
  EXPECT_TRUE(rig.world.IsWhole());
}

TEST(DaemonTest, PurgeThatTheKernelRefusesIsTriedAgain) {
  Rig rig;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.world.kernel.MeasureFiles(20);
  rig.world.kernel.write_error = EBUSY;
  rig.TickAndFinish();
  EXPECT_EQ(rig.journal.Count(LOG_ERR, {{"IMA_CAUSE", "not_purged"}, {"IMA_RETRY_SEC", "1"}}), 1);
  rig.world.kernel.write_error = 0;
  rig.now += seconds(1);
  rig.TickAndFinish();
  EXPECT_EQ(rig.world.kernel.in_memory(), 1U);
  EXPECT_TRUE(rig.world.IsWhole());
}

TEST(DaemonTest, BytesThatContradictTheirHashAreNotCopiedAgainForAnHour) {
  Rig rig;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.world.kernel.MeasureFiles(20);
  rig.world.kernel.lie = testing::Lie::kSegmentHash;
  rig.TickAndFinish();
  EXPECT_EQ(rig.journal.Count(LOG_CRIT, {{"IMA_CAUSE", "segment_hash"}, {"IMA_RETRY_SEC", "3600"}}),
            1);
  rig.now += minutes(59);
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  EXPECT_EQ(rig.world.kernel.attempts(), 1U);
  EXPECT_EQ(rig.world.kernel.purges(), 0U);
}

constexpr daemon::Time kLocked = daemon::Backoff::kLocked;

TEST(DaemonTest, LockOfAnotherIsNotAFailureAndIsTriedAgainSoon) {
  Rig rig;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.world.kernel.MeasureFiles(20);
  auto lock = AcquireLock(rig.world.Env(), LockMode::kShared);
  ASSERT_TRUE(lock.ok());
  for (int i = 0; i < 4 * 302; ++i) {
    EXPECT_EQ(rig.TickAndFinish(), rig.now + kLocked);
    rig.now += kLocked;
  }
  EXPECT_EQ(rig.journal.CountEvent(LOG_INFO, "lock_held"), 1);
  EXPECT_EQ(
      rig.journal.Count(LOG_WARNING, {{"IMA_EVENT", "lock_held_long"}, {"IMA_HELD_SEC", "300"}}),
      1);
  EXPECT_EQ(rig.journal.Count(LOG_ERR), 0);
  lock->reset();
  rig.TickAndFinish();
  EXPECT_EQ(rig.world.kernel.purges(), 1U);
  EXPECT_EQ(rig.journal.lines.back().Field("IMA_EVENT"), "snapshot_taken");
  EXPECT_EQ(rig.journal.lines.back().Field("IMA_FAILURES"), "");
}

// Four tries a second are nothing to write, or to wake systemd for, four times a second.
TEST(DaemonTest, WaitingForTheLockIsToldOnce) {
  Rig rig;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.world.kernel.MeasureFiles(20);
  auto lock = AcquireLock(rig.world.Env(), LockMode::kShared);
  ASSERT_TRUE(lock.ok());
  rig.TickAndFinish();
  const size_t logged = rig.journal.lines.size();
  const size_t told = rig.told.size();
  EXPECT_EQ(rig.journal.lines.back().Field("IMA_EVENT"), "lock_held");
  for (int i = 0; i < 4 * 60; ++i) {
    rig.now += kLocked;
    rig.TickAndFinish();
  }
  EXPECT_EQ(rig.journal.lines.size(), logged);
  EXPECT_EQ(rig.told.size(), told);
  lock->reset();
  rig.now += kLocked;
  rig.TickAndFinish();
  EXPECT_EQ(rig.journal.lines.back().Field("IMA_EVENT"), "snapshot_taken");
  EXPECT_EQ(rig.journal.lines.back().Field("IMA_SEGMENT"), "1");
  EXPECT_GT(rig.told.size(), told);
}

TEST(DaemonTest, LockOfAnotherAtStartPutsTheRepairOff) {
  Rig rig;
  rig.world.kernel.MeasureFiles(3);
  ASSERT_TRUE(rig.world.Take().ok());
  rig.world.fs.Write(kBoot1 + "/00000002.ima.tmp", "half");
  auto lock = AcquireLock(rig.world.Env(), LockMode::kExclusive);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_TRUE(rig.Told("READY=1"));
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + kLocked);
  rig.now += kLocked;
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + kLocked);
  EXPECT_TRUE(rig.world.fs.Read(kBoot1 + "/00000002.ima.tmp"));
  lock->reset();
  rig.now += kLocked;
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  EXPECT_FALSE(rig.world.fs.Read(kBoot1 + "/00000002.ima.tmp"));
}

TEST(DaemonTest, RepairedStoreEndsTheTroubleBeforeIt) {
  Rig rig;
  rig.world.kernel.MeasureFiles(3);
  auto lock = AcquireLock(rig.world.Env(), LockMode::kExclusive);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  lock->reset();
  rig.now += seconds(1);
  rig.service.Tick(rig.now);
  rig.now += hours(6);
  rig.world.kernel.MeasureFiles(20);
  lock = AcquireLock(rig.world.Env(), LockMode::kShared);
  rig.TickAndFinish();
  EXPECT_EQ(rig.journal.CountEvent(LOG_WARNING, "lock_held_long"), 0);
}

TEST(DaemonTest, TroubleThatComesBackAfterARepairIsTold) {
  Rig rig;
  rig.world.fs.read_only = true;
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.world.fs.read_only = false;
  rig.now += seconds(1);
  rig.service.Tick(rig.now);
  rig.world.kernel.MeasureFiles(20);
  rig.world.fs.read_only = true;
  rig.now += hours(1);
  EXPECT_EQ(rig.TickAndFinish(), rig.now + seconds(1));
  EXPECT_EQ(rig.journal.Count(LOG_ERR, {{"ERRNO", std::to_string(EROFS)}}), 2);
}

TEST(DaemonTest, GetsOnWhileIdleAndOnlyWhileARunningSnapshotDoes) {
  Rig rig;
  std::latch hangs(1);
  rig.world.kernel.MeasureFiles(20);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_TRUE(rig.service.MakesProgress());
  EXPECT_TRUE(rig.service.MakesProgress());
  rig.before_recovery = [&] { hangs.wait(); };
  EXPECT_EQ(rig.service.Tick(rig.now), Service::kNever);
  EXPECT_TRUE(rig.service.MakesProgress());  // it has begun
  EXPECT_FALSE(rig.service.MakesProgress());
  EXPECT_FALSE(rig.service.MakesProgress());
  hangs.count_down();
  rig.Finish();
  EXPECT_TRUE(rig.service.MakesProgress());
  EXPECT_TRUE(rig.service.MakesProgress());
}

TEST(DaemonTest, AllLimitsOffIsWarnedOfOnceAndTakesNothing) {
  Rig rig;
  rig.config.max_records.reset();
  rig.world.kernel.MeasureFiles(200);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  rig.now += hours(1000);
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  EXPECT_EQ(rig.journal.CountEvent(LOG_WARNING, "no_limits"), 1);
}

TEST(DaemonTest, LimitOfBytesThatTheKernelDoesNotCountIsToldOnce) {
  Rig rig;
  rig.world.kernel.has_snapshot_file = false;
  rig.world.kernel.has_staging = true;
  rig.config.max_records.reset();
  rig.config.max_bytes = 1;
  rig.world.kernel.MeasureFiles(200);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  for (int i = 0; i < 3; ++i) {
    rig.service.Tick(rig.now);
    rig.now += seconds(5);
  }
  EXPECT_EQ(rig.journal.CountEvent(LOG_WARNING, "max_bytes_ignored"), 1);
  // A reload may have changed the limits.
  rig.service.Reload(rig.now);
  rig.service.Tick(rig.now);
  EXPECT_EQ(rig.journal.CountEvent(LOG_WARNING, "max_bytes_ignored"), 2);
}

TEST(DaemonTest, MarkRecordsAnAggregateAtEachLimitAndPurgesNothing) {
  Rig rig;
  rig.config.mode = SnapshotMode::kMark;
  rig.world.kernel.MeasureFiles(20);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  EXPECT_EQ(rig.TickAndFinish(), rig.now + seconds(5));
  rig.now += seconds(5);
  EXPECT_EQ(rig.service.Tick(rig.now), rig.now + seconds(5));
  rig.world.kernel.MeasureFiles(10);
  rig.TickAndFinish();
  EXPECT_EQ(rig.world.kernel.attempts(), 2U);
  EXPECT_EQ(rig.world.kernel.purges(), 0U);
  EXPECT_EQ(rig.world.fs.Find(kStore), nullptr);
}

}  // namespace
}  // namespace imasnap
