// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the view must not show as the log: records that are missing, or that changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "tampering.h"
#include "view/refresher.h"
#include "view/view_files.h"
#include "whole_log_fixture.h"

namespace imasnap {
namespace {

using testing::Kind;
using testing::kStore;
using testing::World;

// No aggregate closed the last segment, and the list may begin with anything. Only the
// kernel's count shows that records are missing.
TEST(ViewChainTest, RecordsThatAnotherProgramDeletedBehindAStagedSegmentAreMissed) {
  World world;
  world.kernel.has_staging = true;
  world.kernel.MeasureFiles(5);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  ASSERT_EQ(world.kernel.Stage(), 0);
  ASSERT_TRUE(world.Repair().ok());
  world.kernel.MeasureFiles(3);
  ASSERT_EQ(world.kernel.Stage(), 0);
  ASSERT_EQ(world.kernel.DeleteStaged(), 0);
  world.kernel.MeasureFiles(3);
  const auto log = Open(&world);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(log.error().cause, Cause::kRecordsMissing);
  EXPECT_EQ(log.error().expected, "16");
}

// Violations have no entry in the hash table: the list begins with the same bytes
// after its first records were stored and deleted.
TEST(ViewChainTest, ListThatBeginsAsBeforeIsNotTakenForTheSameList) {
  World world(Kind::kStaging);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.Measure(testing::Violation("/same"));
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  ASSERT_TRUE(world.Take().ok());
  world.kernel.Measure(testing::Violation("/same"));
  world.kernel.MeasureFiles(2);
  ASSERT_TRUE((*log)->Refresh().ok());
  ExpectWhole(&world, **log);
}

// An aggregate after staged records is that of no bytes, and not of the segment before
// them.
TEST(ViewChainTest, MarkerRightBehindAStagedSegmentIsShown) {
  World world;
  world.kernel.has_staging = true;
  world.kernel.MeasureFiles(5);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  ASSERT_EQ(world.kernel.Stage(), 0);
  ASSERT_TRUE(world.Repair().ok());
  ASSERT_TRUE(world.Take(/*mark=*/true).ok());
  world.kernel.MeasureFiles(2);
  const auto log = Open(&world);
  ASSERT_TRUE(log.ok()) << log.error().ToString();
  ExpectWhole(&world, **log);
}

TEST(ViewChainTest, StoreThatLostItsSegmentsIsAnError) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(3);
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  const auto before = (*log)->index();
  world.fs.Move(kStore + "/boots", kStore + "/elsewhere");
  world.kernel.MeasureFiles(1);
  const Status refreshed = (*log)->Refresh();
  ASSERT_FALSE(refreshed.ok());
  EXPECT_EQ(refreshed.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(refreshed.error().cause, Cause::kSegmentMissing);
  EXPECT_EQ(refreshed.error().segment, 1U);
  EXPECT_EQ((*log)->index(), before);
}

// New records are checked together with the last ones of a segment, which are read
// again for that.
TEST(ViewChainTest, SegmentThatChangedIsNotGivenAnotherChecksum) {
  World world;
  world.kernel.MeasureFiles(5);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(1);
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  testing::FlipByte(&world, 1, 100);
  world.kernel.MeasureFiles(1);
  const Status refreshed = (*log)->Refresh();
  ASSERT_FALSE(refreshed.ok());
  EXPECT_EQ(refreshed.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(refreshed.error().cause, Cause::kFileChanged);
}

TEST(ViewFilesTest, HasTheKernelsModesAndNothingOfWhatIsStaged) {
  World world;
  const std::string directory = "/securityfs/ima/";
  for (const char* name :
       {"binary_runtime_measurements", "ascii_runtime_measurements", "runtime_measurements_count",
        "violations", "policy", "runtime_measurements_total", "binary_runtime_measurements_sha256",
        "binary_runtime_measurements_staged", "binary_runtime_measurements_sha256_staged"}) {
    world.fs.Write(directory + name, "");
  }
  Environment env = world.Env();
  env.securityfs = "/securityfs";
  const auto files =
      ListViewFiles(env, [](const Error& left_out) { ADD_FAILURE() << left_out.ToString(); });
  ASSERT_TRUE(files.ok()) << files.error().ToString();
  int policies = 0;
  for (const ViewFile& file : *files) {
    const bool policy = file.name == "policy";
    policies += policy ? 1 : 0;
    EXPECT_EQ(file.mode, policy ? 0400U : 0440U) << file.name;
    EXPECT_FALSE(file.name.ends_with("_staged")) << file.name;
  }
  EXPECT_EQ(policies, 1);
}

// If a request gets no answer, its reader waits without end.
TEST(RefresherTest, StopAnswersThoseThatStillWait) {
  std::promise<void> began;
  std::promise<void> go_on;
  int refreshes = 0;
  Refresher refresher([&]() -> Status {
    ++refreshes;
    began.set_value();
    go_on.get_future().wait();
    return {};
  });
  bool first = false;
  bool second = false;
  refresher.Ask([&](const Status& status) { first = status.ok(); });
  began.get_future().wait();
  refresher.Ask([&](const Status& status) { second = !status.ok(); });
  std::thread stopper([&] { refresher.Stop(); });
  // Once the server stops, each request is answered at once, in the thread that asks.
  const auto self = std::this_thread::get_id();
  bool stopping = false;
  while (!stopping) {
    refresher.Ask([&](const Status&) {
      if (std::this_thread::get_id() == self) {
        stopping = true;
      }
    });
    std::this_thread::yield();
  }
  go_on.set_value();
  stopper.join();
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  EXPECT_EQ(refreshes, 1);
}

}  // namespace
}  // namespace imasnap
