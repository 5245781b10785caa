// SPDX-License-Identifier: GPL-2.0-or-later
//
// A store that somebody else made, that is another one, or that cannot be written.
#include "store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "world.h"

namespace imasnap {
namespace {

using ::testing::Contains;
using testing::Kind;
using testing::kStore;
using testing::World;

// mkdir(1) syncs nothing.
TEST(SnapshotTest, StoreThatTheAdministratorMadeIsDurableBeforeThePurge) {
  World world;
  world.config.store = "/srv/made/ima";
  for (const char* directory : {"/srv", "/srv/made", "/srv/made/ima"}) {
    ASSERT_TRUE(world.fs.MakeDirectory(directory).ok());
  }
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.fs.Restart(/*lose_unsynced=*/true);
  EXPECT_TRUE(world.IsWhole());
}

TEST(SnapshotTest, NumbersOfMoreThanEightDigitsAreNumbersToo) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  for (const char* extension : {".ima", ".json"}) {
    std::string text = *world.fs.Read(world.SegmentPath(1) + extension);
    if (const size_t at = text.find("\"segment\": 1,"); at != std::string::npos) {
      text.replace(at, 13, "\"segment\": 99999999");
    }
    world.fs.Write(world.SegmentPath(99999999) + extension, text);
    world.fs.Remove(world.SegmentPath(1) + extension);
  }
  for (const uint64_t number : {100000000U, 100000001U}) {
    world.kernel.MeasureFiles(2);
    auto taken = world.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_EQ(taken->segment->number, number);
  }
  const auto session = world.Env().store().LoadNewest();
  ASSERT_TRUE(session.ok());
  EXPECT_EQ((*session)->segments.size(), 3U);
}

// What the kernel records cannot be taken back, and would be recorded at each try.
TEST(SnapshotTest, AStoreThatCannotBeWrittenCostsNoAggregate) {
  for (const Kind kind : {Kind::kSnapshot, Kind::kStaging}) {
    World world(kind);
    world.kernel.MeasureFiles(4);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.MeasureFiles(4);
    const Bytes before = world.kernel.Everything();
    testing::Fault fault;
    fault.kind = testing::Fault::Kind::kError;
    fault.errno_value = EROFS;
    fault.at = "open " + world.SegmentPath(2) + ".ima.tmp";
    world.fs.Arm(fault);
    EXPECT_FALSE(world.Take().ok());
    EXPECT_EQ(world.kernel.Everything(), before);
    EXPECT_EQ(world.kernel.attempts(), kind == Kind::kSnapshot ? 1U : 0U);
    ASSERT_TRUE(world.Take().ok());
    EXPECT_TRUE(world.IsWhole());
  }
}

// Records 1 to 5 are in one store, and take is given another.
class OtherStoreTest : public ::testing::TestWithParam<bool> {
 protected:
  OtherStoreTest() {
    world_.kernel.MeasureFiles(4);
    EXPECT_TRUE(world_.Take().ok());
    world_.kernel.MeasureFiles(2);
    world_.config.store = kOther;
    if (GetParam()) {  // a session of this boot, which its daemon began before
      const SessionInfo info{1, "2026-01-02T03:04:05Z", "7.3.0-test", 5, "", "", "", ""};
      EXPECT_TRUE(world_.Env().store().CreateSession(info).ok());
    }
  }
  const std::string kOther = "/srv/ima";
  World world_;
};

TEST_P(OtherStoreTest, IsRefusedBeforeTheKernelIsTouchedAndTheStoreIsMade) {
  const auto taken = world_.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kRefused);
  EXPECT_EQ(taken.error().cause, Cause::kRecordsGone);
  EXPECT_EQ(taken.error().file, world_.Env().kernel().live_path());
  EXPECT_EQ(taken.error().found, "5");
  const auto repaired = world_.Repair();
  ASSERT_FALSE(repaired.ok());
  EXPECT_EQ(repaired.error().ToString(), taken.error().ToString());
  EXPECT_EQ(world_.kernel.attempts(), 1U);
  EXPECT_EQ(world_.kernel.purges(), 1U);
  EXPECT_EQ(world_.fs.Find(kOther) != nullptr, GetParam());
  world_.config.store = kStore;
  ASSERT_TRUE(world_.Take().ok());
  EXPECT_TRUE(world_.IsWhole());
}

TEST_P(OtherStoreTest, BeginsAfterTheGapIfThatIsAllowed) {
  world_.config.allow_gap = true;
  const auto taken = world_.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->segment->first_record, 6U);
  EXPECT_THAT(world_.notes, Contains(testing::IsNote(NoteKind::kGapAllowed, 5)));
  world_.config.allow_gap = false;
  EXPECT_TRUE(world_.Take().ok());  // it is this one's boot now
  const auto cat = world_.Cat();
  ASSERT_FALSE(cat.ok());
  EXPECT_EQ(cat.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(cat.error().cause, Cause::kBeginningMissing);
  EXPECT_EQ(cat.error().file, kOther + "/boots/00000001/00000001.ima");
  EXPECT_TRUE(world_.Cat({.from = 2}).ok());
}

INSTANTIATE_TEST_SUITE_P(Session, OtherStoreTest, ::testing::Bool(),
                         [](const auto& p) { return p.param ? "Begun" : "None"; });

}  // namespace
}  // namespace imasnap
