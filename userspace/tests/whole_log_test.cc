// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/whole_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "every_call.h"
#include "tampering.h"
#include "view/view_files.h"
#include "whole_log_fixture.h"

namespace imasnap {
namespace {

using testing::EveryTemplate;
using testing::FakeFileSystem;
using testing::Fault;
using testing::FlipByte;
using ::testing::HasSubstr;
using testing::kStore;
using testing::World;

// Offsets all over every file, with several sizes.
TEST(WholeLogTest, ReadsAtAnyOffsetGiveTheBytesThere) {
  World world;
  for (const auto& record : EveryTemplate()) {
    world.kernel.Measure(record);
  }
  world.kernel.MeasureFiles(140);  // more than a stride
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(4);
  auto log = Open(&world);
  ASSERT_TRUE(log.ok()) << log.error().ToString();
  const auto state = (*log)->index();
  for (const ViewFormat& format : Formats()) {
    const Bytes expected = Expected(&world, format);
    for (const size_t size : {size_t{1}, size_t{7}, size_t{700}}) {
      Bytes buffer(size);
      const size_t step = size == 700 ? 7 : 37;
      for (size_t offset = 0; offset <= expected.size() + 1; offset += step) {
        const auto got = state->Read(format, offset, buffer);
        ASSERT_TRUE(got.ok()) << got.error().ToString();
        const size_t want =
            offset >= expected.size() ? 0 : std::min(size, expected.size() - offset);
        ASSERT_EQ(*got, want) << offset;
        ASSERT_TRUE(std::equal(
            buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(want),
            expected.begin() + static_cast<ptrdiff_t>(std::min(offset, expected.size()))))
            << offset;
      }
    }
  }
}

Bytes Joined(const std::vector<ByteView>& views) {
  Bytes all;
  for (const ByteView view : views) {
    AppendBytes(view, &all);
  }
  return all;
}

TEST(WholeLogTest, StoredBytesAreGivenByTheirPlaceInTheSegments) {
  World world;
  for (int snapshot = 0; snapshot < 3; ++snapshot) {
    world.kernel.MeasureFiles(40);
    ASSERT_TRUE(world.Take().ok());
  }
  auto log = Open(&world);
  ASSERT_TRUE(log.ok()) << log.error().ToString();
  const auto state = (*log)->index();
  const Bytes whole = Expected(&world, {});
  const size_t stored = state->kernel_begin;
  for (size_t offset = 0; offset < stored; offset += 101) {
    for (const size_t size : {size_t{1}, size_t{5000}, size_t{50'000}}) {
      const size_t n = std::min(size, stored - offset);
      const auto from = whole.begin() + static_cast<ptrdiff_t>(offset);
      EXPECT_EQ(Joined(state->Mapped({}, offset, n)), Bytes(from, from + static_cast<ptrdiff_t>(n)))
          << offset << " " << n;
    }
  }
}

TEST(WholeLogTest, OnlyReadGivesWhatIsNotUnchangedInSegments) {
  World world;
  world.kernel.MeasureFiles(40);
  ASSERT_TRUE(world.Take().ok());
  auto log = Open(&world);
  ASSERT_TRUE(log.ok()) << log.error().ToString();
  const auto state = (*log)->index();
  ASSERT_FALSE(state->Mapped({}, 0, 100).empty());
  EXPECT_TRUE(state->Mapped({.ascii = true}, 0, 100).empty());
  EXPECT_TRUE(state->Mapped({.alg = HashAlg::kSha256}, 0, 100).empty());
  EXPECT_TRUE(state->Mapped({}, state->kernel_begin, 1).empty()) << "the kernel's";
  EXPECT_TRUE(state->Mapped({}, state->kernel_begin - 1, 2).empty()) << "in part";
  EXPECT_TRUE(state->Mapped({}, state->end.raw, 1).empty()) << "nobody's";
  FlipByte(&world, 1, 10);
  EXPECT_TRUE(state->Mapped({}, 0, 100).empty()) << "changed";
}

TEST(WholeLogTest, GrowsWithoutChangingWhatWasShownOverThreeSnapshots) {
  World world;
  world.kernel.MeasureFiles(100);
  auto log = Open(&world);
  ASSERT_TRUE(log.ok()) << log.error().ToString();
  Bytes shown;
  for (int snapshot = 0; snapshot < 3; ++snapshot) {
    for (const bool taken : {false, true, true}) {
      world.kernel.MeasureFiles(45);
      if (taken) {
        world.kernel.records_after_open = snapshot;
        ASSERT_TRUE(world.Take().ok());
      }
      // One snapshot that the view did not notice, and one that it noticed at once.
      if (!taken || snapshot != 1) {
        const auto refreshed = (*log)->Refresh();
        ASSERT_TRUE(refreshed.ok()) << refreshed.error().ToString();
        ExpectWhole(&world, **log);
        const Bytes now = ReadWith(*(*log)->index(), {.ascii = true}, 1000);
        ASSERT_GE(now.size(), shown.size());
        EXPECT_TRUE(std::equal(shown.begin(), shown.end(), now.begin()));
        shown = now;
      }
    }
  }
  EXPECT_EQ((*log)->index()->segments.size(), 6U);
}

TEST(WholeLogTest, StateThatAReaderHoldsStaysReadableWhenItsRecordsMove) {
  World world;
  world.kernel.MeasureFiles(10);
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  const auto before = (*log)->index();
  const Bytes expected = Expected(&world, {});
  ASSERT_TRUE(world.Take().ok());
  ASSERT_TRUE((*log)->Refresh().ok());
  world.kernel.MeasureFiles(1);
  ASSERT_TRUE((*log)->Refresh().ok());
  EXPECT_EQ(ReadWith(*before, {}, 64), expected);
}

TEST(WholeLogTest, StoredButNotPurgedSegmentIsShownOnceAlsoWhenItIsSuperseded) {
  World world;
  world.kernel.MeasureFiles(5);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(5);
  world.kernel.write_error = ESHUTDOWN;
  ASSERT_FALSE(world.Take().ok());
  auto log = Open(&world);
  ASSERT_TRUE(log.ok()) << log.error().ToString();
  ExpectWhole(&world, **log);
  world.kernel.write_error = 0;
  ASSERT_TRUE(world.Take().ok());
  ASSERT_TRUE((*log)->Refresh().ok());
  ExpectWhole(&world, **log);
}

// Everything was staged by another program: that is stored as a segment, and then
// the snapshot of a list without records.
TEST(WholeLogTest, SegmentWithoutRecordsIsPartOfTheLog) {
  World world;
  world.kernel.has_staging = true;
  world.kernel.MeasureFiles(3);
  ASSERT_EQ(world.kernel.Stage(), 0);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  ASSERT_EQ(taken->segment->bytes, 0U);
  auto opened = Open(&world);
  ASSERT_TRUE(opened.ok()) << opened.error().ToString();
  ExpectWhole(&world, **opened);
  world.kernel.MeasureFiles(2);
  ASSERT_TRUE(world.Take().ok());
  ASSERT_TRUE((*opened)->Refresh().ok());
  ExpectWhole(&world, **opened);
}

TEST(WholeLogTest, NothingNewIsSeenFromTheCounterAlone) {
  World world;
  world.kernel.MeasureFiles(5);
  ASSERT_TRUE(world.Take().ok());
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  world.fs.Arm({});
  ASSERT_TRUE((*log)->Refresh().ok());
  EXPECT_LE(world.fs.calls(), 3);  // open, read, read
}

// A kernel after a kexec counts from the list that it was given, without what was
// deleted before by staging.
TEST(WholeLogTest, CounterThatAKexecSetBackHidesNothing) {
  World world(testing::Kind::kStaging);
  world.kernel.MeasureFiles(5);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.not_counted = world.kernel.total();
  world.kernel.has_staging = false;
  world.kernel.has_snapshot_file = true;
  world.kernel.MeasureFiles(2);
  world.Kexec();
  auto log = Open(&world);
  ASSERT_TRUE(log.ok()) << log.error().ToString();
  ExpectWhole(&world, **log);
  // Until the counter is the number of records that are shown.
  world.kernel.MeasureFiles(static_cast<int>(world.kernel.not_counted));
  ASSERT_TRUE((*log)->Refresh().ok());
  ExpectWhole(&world, **log);
}

// If a purge overtakes a reader, the kernel continues at the list's new beginning.
TEST(WholeLogTest, PurgeWhileTheListIsReadLeavesNothingOut) {
  bool done = true;
  for (int nth = 1; done; ++nth) {
    World world;
    world.kernel.MeasureFiles(5);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.MeasureFiles(5);
    auto log = Open(&world);
    ASSERT_TRUE(log.ok());
    world.kernel.MeasureFiles(1);
    done = false;
    int left = nth;
    world.fs.on_call = [&](const std::string& call) {
      if (call == "read /sys/kernel/security/ima/binary_runtime_measurements" && --left == 0) {
        done = true;
        world.fs.on_call = nullptr;
        world.kernel.MeasureFiles(1);
        static_cast<void>(world.Take());  // or kLocked
      }
    };
    const Status refreshed = (*log)->Refresh();
    world.fs.on_call = nullptr;
    EXPECT_TRUE(refreshed.ok()) << nth << ": " << refreshed.error().ToString();
    const Bytes shown = ReadWith(*(*log)->index(), {}, 4096);
    Bytes all = world.kernel.Everything();
    ASSERT_GE(all.size(), shown.size());
    all.resize(shown.size());
    EXPECT_EQ(shown, all) << nth;
    EXPECT_TRUE((*log)->Refresh().ok());
    ExpectWhole(&world, **log);
  }
}

TEST(WholeLogTest, RefreshByStagingHoldsUpNobodyWhileItReads) {
  World world(testing::Kind::kStaging);
  world.kernel.MeasureFiles(5);
  for (const bool stored : {false, true}) {
    if (stored) {
      ASSERT_TRUE(world.Take().ok());
      world.kernel.MeasureFiles(5);
    }
    auto log = Open(&world);
    ASSERT_TRUE(log.ok());
    world.kernel.MeasureFiles(3);
    bool taken = false;
    // While the list is copied it cannot be staged; then it can.
    const std::function<void(const std::string&)> take = [&](const std::string& call) {
      if (call == "write temporary file" && !taken) {
        world.fs.on_call = nullptr;
        taken = world.Take().ok();
        world.fs.on_call = take;
      }
    };
    world.fs.on_call = take;
    EXPECT_TRUE((*log)->Refresh().ok());
    world.fs.on_call = nullptr;
    EXPECT_TRUE(taken) << stored;
    EXPECT_TRUE((*log)->Refresh().ok());
    ExpectWhole(&world, **log);
  }
}

TEST(WholeLogTest, SnapshotBeingTakenHoldsUpNoReaderOfItsRecords) {
  World world;
  world.kernel.MeasureFiles(5);
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  const auto lock = AcquireLock(world.Env(), LockMode::kExclusive);
  ASSERT_TRUE(lock.ok());
  world.kernel.MeasureFiles(5);
  EXPECT_TRUE((*log)->Refresh().ok());
  EXPECT_EQ((*log)->index()->end.records, world.kernel.total());
}

// Readers may have seen the wrong log, so the view does not continue it.
TEST(WholeLogTest, LogThatContradictedItselfStaysBroken) {
  World world;
  world.kernel.MeasureFiles(20);
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  ASSERT_TRUE(world.Take().ok());
  FlipByte(&world, 1, 100);
  const Status broken = (*log)->Refresh();
  ASSERT_FALSE(broken.ok());
  FlipByte(&world, 1, 100);
  const Status still = (*log)->Refresh();
  ASSERT_FALSE(still.ok());
  EXPECT_EQ(still.error().ToString(), broken.error().ToString());
}

// Otherwise it would keep the records that the kernel had to free.
TEST(WholeLogTest, CopyOfTheKernelsRecordsIsMadeAnewOnceTheyAreStored) {
  World world;
  world.kernel.MeasureFiles(20);
  world.kernel.records_after_open = 3;  // which stay in the kernel
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  int copies = 0;
  bool seen = false;
  world.fs.on_call = [&](const std::string& call) {
    copies += call == "open temporary file" ? 1 : 0;
    if (call.starts_with("rename ") && world.kernel.attempts() == 1 && !seen) {
      seen = true;
      EXPECT_TRUE((*log)->Refresh().ok());
      EXPECT_EQ((*log)->index()->end.records, world.kernel.total());
      EXPECT_EQ(copies, 0) << "it is gone on with";
    }
  };
  ASSERT_TRUE(world.Take().ok());
  ASSERT_TRUE(seen);
  world.kernel.MeasureFiles(1);
  ASSERT_TRUE((*log)->Refresh().ok());
  EXPECT_EQ(copies, 1);
  world.fs.on_call = nullptr;
  ExpectWhole(&world, **log);
}

TEST(WholeLogTest, LockThatIsNotToBeHadIsAnErrorThatPasses) {
  World world;
  world.kernel.MeasureFiles(5);
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  const auto before = (*log)->index();
  ASSERT_TRUE(world.Take().ok());
  {
    const auto lock = AcquireLock(world.Env(), LockMode::kExclusive);
    const Status refreshed = (*log)->Refresh();
    ASSERT_FALSE(refreshed.ok());
    EXPECT_EQ(refreshed.error().code, ErrorCode::kLocked);
    EXPECT_EQ((*log)->index(), before);
  }
  ASSERT_TRUE((*log)->Refresh().ok());
  ExpectWhole(&world, **log);
}

TEST(WholeLogTest, WaitingForTheLockIsGivenUpWhenTold) {
  World world;
  world.kernel.MeasureFiles(5);
  auto log = WholeLog::Open(world.Env(), std::chrono::hours(1));
  ASSERT_TRUE(log.ok());
  ASSERT_TRUE(world.Take().ok());
  const auto lock = AcquireLock(world.Env(), LockMode::kExclusive);
  std::thread stopper([&] { (*log)->StopWaiting(); });
  const Status refreshed = (*log)->Refresh();
  stopper.join();
  ASSERT_FALSE(refreshed.ok());
  EXPECT_EQ(refreshed.error().code, ErrorCode::kLocked);
}

// The lock is held for a moment, and the kernel's files are not kept open.
TEST(WholeLogTest, SnapshotsGoOnWhileItIsOpen) {
  World world;
  world.kernel.MeasureFiles(5);
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(world.Take().ok());
    EXPECT_TRUE((*log)->Refresh().ok());
  }
}

TEST(ViewFilesTest, HasTheKernelsNamesAndTwoBanksIfTheKernelShowsNoBank) {
  World world;
  const Environment env = world.Env();
  const auto files =
      ListViewFiles(env, [](const Error& left_out) { ADD_FAILURE() << left_out.ToString(); });
  ASSERT_TRUE(files.ok()) << files.error().ToString();
  std::vector<std::string> names;
  for (const ViewFile& file : *files) {
    names.push_back(file.name);
    EXPECT_EQ(file.mode, 0440U);
  }
  EXPECT_THAT(names, ::testing::ElementsAre(
                         "ascii_runtime_measurements", "binary_runtime_measurements",
                         "ascii_runtime_measurements_sha1", "binary_runtime_measurements_sha1",
                         "ascii_runtime_measurements_sha256", "binary_runtime_measurements_sha256",
                         "runtime_measurements_count", "violations", "runtime_measurements_total",
                         "runtime_measurements_size", "snapshot_attempts", "snapshot_purges"));
}

}  // namespace
}  // namespace imasnap
