// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include "daemon/worker.h"
#include "world.h"

namespace imasnap {
namespace {

using daemon::Outcome;
using daemon::Worker;
using testing::Fault;
using testing::World;

// Enough records for a snapshot to report its progress a few times.
constexpr int kMany = 700;

Outcome Take(Worker* worker, const Environment& env) {
  worker->Start(env, false);
  return worker->Collect();
}

TEST(WorkerTest, TakesASnapshotAndIsFreeAgain) {
  World world;
  const auto worker = std::move(*Worker::Create());
  for (uint64_t n = 1; n <= 2; ++n) {
    world.kernel.MeasureFiles(3);
    worker->Start(world.Env(), false);
    EXPECT_TRUE(worker->running());
    const Outcome outcome = worker->Collect();
    EXPECT_FALSE(worker->running());
    ASSERT_TRUE(outcome.result.ok()) << outcome.result.error().ToString();
    EXPECT_EQ(outcome.result->segment->number, n);
    EXPECT_FALSE(outcome.cancelled);
  }
  EXPECT_TRUE(world.IsWhole());
}

// A snapshot is cancelled at its nth progress report. It stops, or completes if its
// segment is already durable. Nothing is lost, and the next snapshot takes all records.
TEST(WorkerTest, CancelledAtAnyProgressTheLogStaysWhole) {
  int given_up = 0;
  int completed = 0;
  for (int n = 1;; ++n) {
    World world;
    const auto worker = std::move(*Worker::Create());
    world.kernel.MeasureFiles(3);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.MeasureFiles(kMany);
    int calls = 0;
    Environment env = world.Env();
    env.on_progress = [&](uint64_t) {
      if (++calls == n) {
        worker->Cancel();
      }
      return true;
    };
    const Outcome outcome = Take(worker.get(), env);
    EXPECT_TRUE(world.IsWhole()) << n;
    EXPECT_EQ(outcome.cancelled, !outcome.result.ok()) << n;
    EXPECT_EQ(world.kernel.purges(), outcome.result.ok() ? 2U : 1U) << n;
    ++(outcome.cancelled ? given_up : completed);
    world.kernel.MeasureFiles(2);
    ASSERT_TRUE(Take(worker.get(), world.Env()).result.ok()) << n;
    EXPECT_TRUE(world.IsWhole()) << n;
    EXPECT_EQ(world.kernel.in_memory(), 1U) << n;
    if (calls < n) {
      break;
    }
  }
  EXPECT_GT(given_up, 2);
  EXPECT_GT(completed, 0);
}

TEST(WorkerTest, DeadAtAnyCallTheLogStaysWhole) {
  for (int call = 1;; ++call) {
    World world;
    world.kernel.MeasureFiles(4);
    world.fs.Arm({.call = call, .kind = Fault::Kind::kCrashBefore});
    Take(Worker::Create()->get(), world.Env());
    const bool hit = world.fs.fault_hit();
    world.fs.Restart(/*lose_unsynced=*/true);
    EXPECT_TRUE(world.IsWhole()) << call;
    const auto worker = std::move(*Worker::Create());
    ASSERT_TRUE(Take(worker.get(), world.Env()).result.ok()) << call;
    EXPECT_TRUE(world.IsWhole()) << call;
    if (!hit) {
      EXPECT_GT(call, 40);
      break;
    }
  }
}

TEST(WorkerTest, ProgressRisesWhileASnapshotGetsOn) {
  World world;
  const auto worker = std::move(*Worker::Create());
  world.kernel.MeasureFiles(kMany);
  std::vector<uint64_t> seen = {worker->progress()};
  Environment env = world.Env();
  env.on_progress = [&](uint64_t) {
    seen.push_back(worker->progress());
    return true;
  };
  ASSERT_TRUE(Take(worker.get(), env).result.ok());
  ASSERT_GT(seen.size(), 2U);
  for (size_t i = 1; i < seen.size(); ++i) {
    EXPECT_GT(seen[i], seen[i - 1]);
  }
}

}  // namespace
}  // namespace imasnap
