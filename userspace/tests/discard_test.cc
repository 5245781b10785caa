// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/discard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "every_call.h"
#include "tampering.h"
#include "world.h"

namespace imasnap {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Fault;
using testing::FaultCase;
using ::testing::IsEmpty;
using testing::IsNote;
using testing::kBoot1;
using testing::kStore;
using testing::World;

constexpr const char* kFile = "/state";

Result<VerifyReport> VerifyFrom(World* world, const Checkpoint* from) {
  const Environment env = world->Env();
  IMASNAP_ASSIGN(const BootLog boot_log, OpenBootLog(env));
  return VerifyLog(
      PartsOf(env, boot_log), testing::With(&world->tpm).get(),
      {.from = from, .state_file = kFile, .identity = IdentityOf(*boot_log.session->info)});
}

// Three segments, a list, and the state after verifying them.
struct Verified : World {
  explicit Verified(int files = 8) {
    config.discard = Discard::kVerified;
    for (int i = 0; i < 3; ++i) {
      kernel.MeasureFiles(files);
      EXPECT_TRUE(Take().ok());
    }
    kernel.MeasureFiles(files);
    state = VerifyFrom(this, nullptr)->checkpoint.value();
  }

  Status Gc(const std::optional<Checkpoint>& from) {
    done = {};
    return CollectGarbage(Env(), from, kFile, &done);
  }
  std::vector<uint64_t> Discarded() const {
    std::vector<uint64_t> numbers;
    for (const SegmentInfo& info : done.discarded) {
      numbers.push_back(info.number);
    }
    return numbers;
  }
  std::vector<std::string> Files() const { return fs.Names(kBoot1); }

  Checkpoint state;
  GcResult done;
};

::testing::AssertionResult IsGoodFrom(World* world, const Checkpoint& state) {
  const auto report = VerifyFrom(world, &state);
  if (!report.ok()) {
    return ::testing::AssertionFailure() << report.error().ToString();
  }
  if (report->finding) {
    return ::testing::AssertionFailure() << report->finding->ToError().ToString();
  }
  return report->matched_record == world->kernel.total()
             ? ::testing::AssertionSuccess()
             : ::testing::AssertionFailure() << "matched at another record";
}

TEST(DiscardTest, RemovesWhatTheStateCoversAndNeverTheLastSegment) {
  Verified world;
  ASSERT_EQ(world.state.segment, 3U);
  const Status status = world.Gc(world.state);
  ASSERT_TRUE(status.ok()) << status.error().ToString();
  EXPECT_THAT(world.Discarded(), ElementsAre(1U, 2U));
  EXPECT_THAT(world.Files(), ElementsAre("00000001.json", "00000002.json", "00000003.ima",
                                         "00000003.json", "session.json"));
  EXPECT_TRUE(IsGoodFrom(&world, world.state));
  ASSERT_TRUE(world.Gc(world.state).ok());
  EXPECT_THAT(world.Discarded(), IsEmpty()) << "there is nothing more to do";
  // The store still works.
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  EXPECT_TRUE(IsGoodFrom(&world, world.state));
  ASSERT_TRUE(world.Gc(world.state).ok());
  EXPECT_THAT(world.Discarded(), ElementsAre(3U));
}

TEST(DiscardTest, NothingPastTheStateGoes) {
  Verified world;
  const Checkpoint old = world.state;
  for (int i = 0; i < 3; ++i) {
    world.kernel.MeasureFiles(4);
    ASSERT_TRUE(world.Take().ok());
  }
  ASSERT_TRUE(world.Gc(old).ok());
  EXPECT_THAT(world.Discarded(), ElementsAre(1U, 2U, 3U));
  EXPECT_TRUE(IsGoodFrom(&world, old));
}

TEST(DiscardTest, WithNeverItIsRefusedAndNothingGoes) {
  Verified world;
  world.config.discard = Discard::kNever;
  const Status status = world.Gc(world.state);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kFailed);
  EXPECT_EQ(status.error().cause, Cause::kDiscardForbidden);
  EXPECT_TRUE(world.IsWhole());
}

TEST(DiscardTest, WithoutAStateNothingOfThisBootGoes) {
  Verified world;
  ASSERT_TRUE(world.Gc(std::nullopt).ok());
  EXPECT_TRUE(world.IsWhole());
}

TEST(DiscardTest, StateOfAnotherLogIsRefusedAndNothingGoes) {
  Verified world;
  for (int i = 0; i < 3; ++i) {
    Checkpoint other = world.state;
    if (i == 0) {
      other.identity.machine[0] = 'c';
    } else if (i == 1) {
      other.aggregate.bytes[0] ^= std::byte{1};
    } else {
      other.first_record.bytes[0] ^= std::byte{1};
    }
    const Status status = world.Gc(other);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kCannotCheck);
    EXPECT_TRUE(world.IsWhole());
  }
  world.kernel.Boot();
  world.reset_count = 6;
  const Status status = world.Gc(world.state);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().cause, Cause::kStateAggregate);
  EXPECT_EQ(status.error().found, "boot_aggregate");
  EXPECT_THAT(world.Files(), Contains("00000001.ima"));
}

TEST(DiscardTest, LogThatLostTheSegmentAtTheBoundaryDiscardsNothing) {
  Verified world;
  testing::Drop(&world, 3);
  const Status status = world.Gc(world.state);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(world.Files(), Contains("00000001.ima"));
  EXPECT_THAT(world.Files(), Contains("00000002.ima"));
}

TEST(DiscardTest, SegmentWithoutMetadataStaysAndWhatFollows) {
  Verified world;
  world.fs.Remove(world.SegmentPath(1) + ".json");
  ASSERT_TRUE(world.Gc(world.state).ok());
  EXPECT_THAT(world.Discarded(), IsEmpty());
  EXPECT_THAT(world.done.notes, ElementsAre(IsNote(NoteKind::kKeptWithoutMetadata, 1)));
  EXPECT_TRUE(world.IsWhole());
}

TEST(DiscardTest, WhatWasRemovedDoesNotComeBack) {
  Verified world;
  ASSERT_TRUE(world.Gc(world.state).ok());
  const std::vector<std::string> files = world.Files();
  world.fs.Restart(/*lose_unsynced=*/true);
  EXPECT_EQ(world.Files(), files);
}

// What the metadata say decides which records readers leave out.
TEST(DiscardTest, SegmentThatSaysToEndBehindTheStateStaysAndWhatFollows) {
  Verified world;
  SegmentInfo info = world.Info(1);
  info.last_record = world.state.records + 1;
  world.SetInfo(1, info);
  ASSERT_TRUE(world.Gc(world.state).ok());
  EXPECT_THAT(world.Discarded(), IsEmpty());
  EXPECT_THAT(world.done.notes, ElementsAre(IsNote(NoteKind::kKeptBeyondState, 1)));
  EXPECT_NE(world.fs.Find(world.SegmentPath(1) + ".ima"), nullptr);
}

// Otherwise it would count as discarded from then on.
TEST(DiscardTest, SegmentWhoseBytesAreMissingStaysMissing) {
  Verified world;
  world.fs.Remove(world.SegmentPath(1) + ".ima");
  const auto metadata = world.fs.Read(world.SegmentPath(1) + ".json");
  ASSERT_TRUE(world.Gc(world.state).ok());
  EXPECT_THAT(world.Discarded(), IsEmpty());
  EXPECT_THAT(world.done.notes, ElementsAre(IsNote(NoteKind::kKeptMissing, 1)));
  EXPECT_EQ(world.fs.Read(world.SegmentPath(1) + ".json"), metadata);
}

// Which boot its segments are of is not known then.
TEST(DiscardTest, WithoutTheSessionsFileNothingGoes) {
  Verified world;
  world.fs.Remove(kBoot1 + "/session.json");
  const std::vector<std::string> files = world.Files();
  const Status status = world.Gc(world.state);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(world.Files(), files);
}

// As long as that was not seen, the kernel may have them still.
TEST(DiscardTest, SegmentWhosePurgeWasNotNotedStaysAndWhatFollows) {
  Verified world;
  SegmentInfo info = world.Info(1);
  info.state = SegmentState::kStored;
  world.SetInfo(1, info);
  ASSERT_TRUE(world.Gc(world.state).ok());
  EXPECT_THAT(world.Discarded(), IsEmpty());
  EXPECT_THAT(world.done.notes, ElementsAre(IsNote(NoteKind::kKeptNotPurged, 1)));
  EXPECT_NE(world.fs.Find(world.SegmentPath(1) + ".ima"), nullptr);
}

TEST(DiscardTest, TakesTheExclusiveLock) {
  Verified world;
  const auto lock = AcquireLock(world.Env(), LockMode::kShared);
  ASSERT_TRUE(lock.ok());
  for (const auto& state : {std::optional<Checkpoint>(world.state), std::optional<Checkpoint>()}) {
    const Status status = world.Gc(state);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kLocked);
  }
  EXPECT_TRUE(world.IsWhole());
}

TEST(DiscardTest, RemovesOldSessionsDownToKeepBoots) {
  Verified world;
  for (uint32_t boot = 6; boot < 9; ++boot) {
    world.config.keep_boots = 10;
    world.ColdBoot(boot);
    world.kernel.MeasureFiles(3);
    ASSERT_TRUE(world.Take().ok());
  }
  world.config.keep_boots = 2;
  ASSERT_TRUE(world.Gc(std::nullopt).ok());
  EXPECT_THAT(world.done.notes, ElementsAre(IsNote(NoteKind::kSessionRemoved, 1),
                                            IsNote(NoteKind::kSessionRemoved, 2)));
  EXPECT_THAT(world.fs.Names(kStore + "/boots"), ElementsAre("00000003", "00000004"));
  EXPECT_TRUE(world.IsWhole());
}

TEST(DiscardTest, WhoeverNeedsTheBeginningRefusesEarly) {
  Verified world;
  const Bytes all = world.kernel.Everything();
  ASSERT_TRUE(world.Gc(world.state).ok());
  const SegmentInfo second = world.Info(2);
  EXPECT_EQ(second.state, SegmentState::kDiscarded);
  const auto expect_refused = [&](const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kCannotCheck);
    EXPECT_EQ(error.cause, Cause::kSegmentDiscarded);
    EXPECT_EQ(error.segment, 2U);
  };
  auto cat = world.Cat();
  ASSERT_FALSE(cat.ok());
  expect_refused(cat.error());
  cat = world.Cat({.from = second.last_record});
  ASSERT_FALSE(cat.ok());
  expect_refused(cat.error());
  for (PcrReader* reader :
       {static_cast<PcrReader*>(&world.tpm), static_cast<PcrReader*>(nullptr)}) {
    auto report = world.Verify(reader);
    ASSERT_FALSE(report.ok());
    expect_refused(report.error());
  }
  // What is there can be read.
  cat = world.Cat({.from = second.last_record + 1});
  ASSERT_TRUE(cat.ok()) << cat.error().ToString();
  ASSERT_LT(cat->size(), all.size());
  EXPECT_TRUE(
      std::equal(cat->begin(), cat->end(), all.end() - static_cast<ptrdiff_t>(cat->size())));
  const Bytes third = testing::SegmentBytes(&world, 3);
  EXPECT_EQ(cat->size(), third.size() + world.kernel.InMemory().size());
}

TEST(DiscardTest, OldStateWhoseSegmentsAreGoneIsRefused) {
  Verified world;
  const Checkpoint old = world.state;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  const Checkpoint now = VerifyFrom(&world, &old)->checkpoint.value();
  ASSERT_EQ(now.segment, 5U);
  ASSERT_TRUE(world.Gc(now).ok());
  EXPECT_THAT(world.Discarded(), ElementsAre(1U, 2U, 3U, 4U));
  EXPECT_TRUE(IsGoodFrom(&world, now));
  auto report = VerifyFrom(&world, &old);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(report.error().cause, Cause::kSegmentDiscarded);
  EXPECT_EQ(report.error().segment, 4U);
}

TEST(DiscardTest, SegmentThatIsMissingAndNotDiscardedIsStillAMismatch) {
  Verified world;
  ASSERT_TRUE(world.Gc(world.state).ok());
  world.fs.Remove(world.SegmentPath(1) + ".json");
  auto report = VerifyFrom(&world, &world.state);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->segment, 1U);
}

class DiscardFaultTest : public ::testing::TestWithParam<FaultCase> {};

// Every call fails, or is the last before a crash. A segment then exists or is recorded
// as discarded, and the next gc finishes the work.
TEST_P(DiscardFaultTest, SegmentsAreWholeOrSaidToBeGoneAtAnyCall) {
  int call = testing::FirstCall();
  for (;; call += testing::kCallStep) {
    Verified world(1);
    std::vector<Bytes> bytes;
    for (uint64_t number = 1; number <= 3; ++number) {
      bytes.push_back(testing::SegmentBytes(&world, number));
    }
    Fault fault = GetParam().fault;
    fault.call = call;
    world.fs.Arm(fault);
    const Status status = world.Gc(world.state);
    const bool hit = world.fs.fault_hit();
    const bool crashed = world.fs.crashed();
    const std::string where = "call " + std::to_string(call) + ": " + world.fs.fault_call();
    world.fs.Restart(crashed && GetParam().lose_unsynced);
    if (!status.ok() && !crashed) {
      EXPECT_EQ(status.error().errno_value, fault.errno_value)
          << where << ": " << status.error().ToString();
    }
    const Session session = world.Env().store().Load(1).value();
    ASSERT_EQ(session.segments.size(), 3U) << where;
    for (const Segment& segment : session.segments) {
      ASSERT_TRUE(segment.info) << where;
      if (segment.has_data) {
        EXPECT_EQ(testing::SegmentBytes(&world, segment.number), bytes[segment.number - 1])
            << where;
      } else {
        EXPECT_EQ(segment.info->state, SegmentState::kDiscarded) << where;
      }
    }
    EXPECT_TRUE(IsGoodFrom(&world, world.state)) << where;
    const Status again = world.Gc(world.state);
    ASSERT_TRUE(again.ok()) << where << ": " << again.error().ToString();
    EXPECT_THAT(world.Files(), ElementsAre("00000001.json", "00000002.json", "00000003.ima",
                                           "00000003.json", "session.json"))
        << where;
    world.kernel.MeasureFiles(2);
    ASSERT_TRUE(world.Take().ok()) << where;
    EXPECT_TRUE(IsGoodFrom(&world, world.state)) << where;
    if (!hit) {
      break;
    }
  }
  EXPECT_GT(call, 40);
}

INSTANTIATE_TEST_SUITE_P(Kinds, DiscardFaultTest, ::testing::ValuesIn(testing::kFaultCases),
                         [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace imasnap
