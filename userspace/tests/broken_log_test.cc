// SPDX-License-Identifier: GPL-2.0-or-later
//
// A log that is damaged or changes, and calls that fail, while it is shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "every_call.h"
#include "tampering.h"
#include "whole_log_fixture.h"

namespace imasnap {
namespace {

using testing::FakeFileSystem;
using testing::Fault;
using testing::FlipByte;
using testing::kStore;
using testing::World;

struct Broken {
  const char* name;
  void (*change)(World*);
  Cause cause;
  uint64_t segment = 0;  // that the error names; 0: none
};
class BrokenLogTest : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenLogTest, IsRefused) {
  World world;
  for (int i = 0; i < 3; ++i) {
    world.kernel.MeasureFiles(10);
    ASSERT_TRUE(world.Take().ok());
  }
  GetParam().change(&world);
  const auto log = Open(&world);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().cause, GetParam().cause) << log.error().ToString();
  EXPECT_EQ(log.error().segment.value_or(0), GetParam().segment);
  EXPECT_EQ(log.error().code, ErrorCode::kMismatch);
}

INSTANTIATE_TEST_SUITE_P(
    Logs, BrokenLogTest,
    ::testing::Values(
        Broken{"FirstSegmentGone",
               [](World* w) {
                 w->fs.Remove(w->SegmentPath(1) + ".ima");
                 w->fs.Remove(w->SegmentPath(1) + ".json");
               },
               Cause::kSegmentMissing, 1},
        Broken{"MiddleSegmentGone",
               [](World* w) {
                 w->fs.Remove(w->SegmentPath(2) + ".ima");
                 w->fs.Remove(w->SegmentPath(2) + ".json");
               },
               Cause::kSegmentMissing, 2},
        Broken{"DataGone", [](World* w) { w->fs.Remove(w->SegmentPath(2) + ".ima"); },
               Cause::kSegmentMissing, 2},
        Broken{"LastSegmentGone",
               [](World* w) {
                 w->fs.Remove(w->SegmentPath(3) + ".ima");
                 w->fs.Remove(w->SegmentPath(3) + ".json");
               },
               Cause::kNotContinued},
        Broken{"StoreGone", [](World* w) { w->fs.Remove(kStore); }, Cause::kBeginningMissing},
        Broken{"DigestFlipped", [](World* w) { FlipByte(w, 1, 10); }, Cause::kMetadataSha256},
        Broken{"DigestFlippedAndNoMetadata",
               [](World* w) {
                 FlipByte(w, 1, 10);
                 w->fs.Remove(w->SegmentPath(1) + ".json");
               },
               Cause::kSegmentHash},
        Broken{"Emptied", [](World* w) { w->fs.Find(w->SegmentPath(2) + ".ima")->data.clear(); },
               Cause::kMetadataSha256},
        Broken{"WithoutTheAggregateThatClosedTheOneBefore",
               [](World* w) {
                 Bytes& data = w->fs.Find(w->SegmentPath(2) + ".ima")->data;
                 SpanSource source(data);
                 LogReader reader(source, {}, "segment");
                 const size_t size = (*reader.Next())->raw.size();
                 data.erase(data.begin(), data.begin() + static_cast<ptrdiff_t>(size));
                 w->fs.Remove(w->SegmentPath(2) + ".json");
               },
               Cause::kAggregateMissing},
        Broken{"LengthFlipped", [](World* w) { FlipByte(w, 2, 27); }, Cause::kWrongLength},
        Broken{"Cut",
               [](World* w) {
                 Bytes& data = w->fs.Find(w->SegmentPath(2) + ".ima")->data;
                 data.resize(data.size() - 1);
               },
               Cause::kTruncated}),
    [](const auto& p) { return p.param.name; });

TEST(WholeLogTest, SegmentThatChangesLaterIsAnErrorWhenItIsRead) {
  World world;
  world.kernel.MeasureFiles(300);
  ASSERT_TRUE(world.Take().ok());
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  const size_t at = world.fs.Find(world.SegmentPath(1) + ".ima")->data.size() - 2000;
  FlipByte(&world, 1, at);
  Bytes buffer(100);
  EXPECT_TRUE((*log)->index()->Read({}, 0, buffer).ok());
  for (const ViewFormat& format : Formats()) {
    const uint64_t end = (*log)->index()->end.BytesIn(format);
    Bytes all(end);
    const auto got = (*log)->index()->Read(format, 0, all);
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, ErrorCode::kMismatch);
    EXPECT_EQ(got.error().cause, Cause::kFileChanged);
    EXPECT_EQ(got.error().file, world.SegmentPath(1) + ".ima");
  }
  // A truncated record is not the end of the log either.
  world.fs.Find(world.SegmentPath(1) + ".ima")->data.resize(at);
  const auto got = (*log)->index()->Read({}, at - 10, buffer);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().cause, Cause::kEndsEarly);
}

TEST(WholeLogTest, SegmentWhoseInodeAloneChangesIsReadOn) {
  World world;
  world.kernel.MeasureFiles(300);
  ASSERT_TRUE(world.Take().ok());
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  FakeFileSystem::Node* const node = world.fs.Find(world.SegmentPath(1) + ".ima");
  ++node->changed;
  const size_t length = node->data.size() - 100;
  Bytes buffer(length);
  const auto got = (*log)->index()->Read({}, 7, buffer);
  ASSERT_TRUE(got.ok());
  ASSERT_EQ(*got, length);
  EXPECT_TRUE(std::equal(buffer.begin(), buffer.end(), node->data.begin() + 7));
}

TEST(WholeLogTest, PurgeOutsideOfTheProtocolIsAnErrorThatStays) {
  World world;
  world.kernel.MeasureFiles(5);
  ASSERT_TRUE(world.Take().ok());
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  const auto before = (*log)->index();
  world.kernel.MeasureFiles(3);
  {
    auto file = world.kernel.Open("snapshot", "snapshot", true);
    ASSERT_TRUE(file.ok());
    Bytes buffer(4096);
    while ((*file)->Read(buffer).value() > 0) {
    }
    ASSERT_TRUE((*file)->WriteAll(AsBytes("1")).ok());
  }
  for (int i = 0; i < 2; ++i) {
    const Status refreshed = (*log)->Refresh();
    ASSERT_FALSE(refreshed.ok());
    EXPECT_EQ(refreshed.error().cause, Cause::kNotContinued);
    EXPECT_EQ((*log)->index(), before);
    world.kernel.MeasureFiles(1);
  }
}

TEST(WholeLogTest, SegmentTakenAwayLaterIsAnErrorThatStays) {
  World world;
  world.kernel.MeasureFiles(5);
  ASSERT_TRUE(world.Take().ok());
  auto log = Open(&world);
  ASSERT_TRUE(log.ok());
  ASSERT_TRUE(world.Take().ok());
  world.fs.Remove(world.SegmentPath(1) + ".ima");
  world.fs.Remove(world.SegmentPath(1) + ".json");
  EXPECT_FALSE((*log)->Refresh().ok());
  EXPECT_FALSE((*log)->Refresh().ok());
}

// If any call fails, there is an error and no partial result, and the next refresh
// works.
TEST(WholeLogTest, FailureOfAnyCallOfARefreshChangesNothing) {
  for (const bool snapshot : {false, true}) {
    for (int call = testing::FirstCall();; call += testing::kCallStep) {
      World world;
      world.kernel.MeasureFiles(150);
      auto log = Open(&world);
      ASSERT_TRUE(log.ok());
      if (snapshot) {
        ASSERT_TRUE(world.Take().ok());
      }
      world.kernel.MeasureFiles(20);
      const auto before = (*log)->index();
      world.fs.Arm({.call = call, .kind = Fault::Kind::kError, .errno_value = EIO});
      const Status refreshed = (*log)->Refresh();
      const bool hit = world.fs.fault_hit();
      const std::string where = world.fs.fault_call();
      world.fs.Arm({});
      if (hit) {
        EXPECT_FALSE(refreshed.ok()) << where;
        EXPECT_EQ((*log)->index(), before) << where;
      }
      world.kernel.MeasureFiles(1);
      const Status again = (*log)->Refresh();
      ASSERT_TRUE(again.ok()) << where << ": " << again.error().ToString();
      ExpectWhole(&world, **log);
      if (!hit) {
        EXPECT_GT(call, 5);
        break;
      }
    }
  }
}

}  // namespace
}  // namespace imasnap
