// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <syslog.h>

#include "daemon/service.h"
#include "daemon_rig.h"

namespace imasnap {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::kStore;
using testing::Rig;

class FakeView : public daemon::ServedView {
 public:
  explicit FakeView(const bool* alive) : alive_(alive) {}
  bool alive() const override { return *alive_; }

 private:
  const bool* alive_;
};

TEST(DaemonViewTest, ViewIsMountedAtItsPlaceAndAgainAfterItDied) {
  Rig rig;
  bool alive = true;
  std::vector<std::string> mounts;
  rig.mount = [&](const Environment& env, const std::string& directory,
                  const daemon::WarningSink& warn) -> Result<std::unique_ptr<daemon::ServedView>> {
    warn(FileError(ErrorCode::kFailed, Cause::kViewReplaced, directory, "replaced"));
    mounts.push_back(directory + " of " + env.config.store);
    return std::unique_ptr<daemon::ServedView>(new FakeView(&alive));
  };
  rig.config.mount = "/view";
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.service.Tick(rig.now);
  EXPECT_THAT(mounts, ::testing::ElementsAre("/view of " + kStore));
  EXPECT_EQ(rig.journal.Count(LOG_WARNING,
                              {{"IMA_EVENT", "view_warning"}, {"IMA_CAUSE", "view_replaced"}}),
            1);
  alive = false;
  rig.service.Tick(rig.now);
  EXPECT_EQ(rig.journal.Count(
                LOG_ERR,
                {{"IMA_EVENT", "view_failed"}, {"IMA_CAUSE", "view_lost"}, {"IMA_RETRY_SEC", "1"}}),
            1);
  alive = true;
  rig.now += seconds(1);
  rig.service.Tick(rig.now);
  EXPECT_EQ(mounts.size(), 2U);
  rig.config.mount = "/other";
  rig.service.Reload(rig.now);
  EXPECT_EQ(mounts.back(), "/other of " + kStore);
  rig.config.mount = "";
  rig.service.Reload(rig.now);
  rig.now += hours(1);
  rig.service.Tick(rig.now);
  EXPECT_EQ(mounts.size(), 3U);
}

TEST(DaemonViewTest, ViewThatCannotBeMountedIsToldOnceAndHoldsUpNoSnapshot) {
  Rig rig;
  rig.config.mount = "/view";
  rig.world.kernel.MeasureFiles(20);
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  rig.TickAndFinish();
  for (int i = 0; i < 100; ++i) {
    rig.now += seconds(5);
    rig.service.Tick(rig.now);
  }
  EXPECT_EQ(rig.journal.CountEvent(LOG_ERR, "view_failed"), 1);
  EXPECT_EQ(rig.world.kernel.purges(), 1U);
}

TEST(DaemonViewTest, ViewThatCannotBeMountedIsTriedLaterAndLater) {
  Rig rig;
  int tries = 0;
  rig.mount = [&tries](const Environment&, const std::string& directory,
                       const daemon::WarningSink&) -> Result<std::unique_ptr<daemon::ServedView>> {
    ++tries;
    return FileError(ErrorCode::kFailed, directory, "no view here");
  };
  rig.config.mount = "/view";
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  for (int wait = 1; wait <= 4; wait *= 2) {
    const int before = tries;
    rig.service.Tick(rig.now + seconds(wait) - std::chrono::milliseconds(1));
    EXPECT_EQ(tries, before);
    rig.now += seconds(wait);
    rig.service.Tick(rig.now);
    EXPECT_EQ(tries, before + 1);
  }
  // A new view does not wait for the failure of this one.
  rig.config.mount = "/other";
  rig.service.Reload(rig.now);
  EXPECT_EQ(tries, 5);
}

// It would take a lock that snapshots no longer take.
TEST(DaemonViewTest, AnotherLockFileMakesAnotherView) {
  Rig rig;
  const bool alive = true;
  std::vector<std::string> locks;
  rig.mount = [&](const Environment& env, const std::string&,
                  const daemon::WarningSink&) -> Result<std::unique_ptr<daemon::ServedView>> {
    locks.push_back(env.config.lock_file);
    return std::unique_ptr<daemon::ServedView>(new FakeView(&alive));
  };
  rig.config.mount = "/view";
  ASSERT_TRUE(rig.service.Start(rig.now).ok());
  const std::string first = rig.config.lock_file;
  rig.config.lock_file = "/run/other.lock";
  rig.service.Reload(rig.now);
  EXPECT_THAT(locks, ::testing::ElementsAre(first, "/run/other.lock"));
  rig.config.max_records = 11;
  rig.service.Reload(rig.now);
  EXPECT_EQ(locks.size(), 2U);
}

}  // namespace
}  // namespace imasnap
