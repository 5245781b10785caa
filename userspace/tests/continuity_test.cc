// SPDX-License-Identifier: GPL-2.0-or-later
//
// Whether a list continues a segment: each case that STORE.md names has a row.
#include "store/continuity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "fake_file_system.h"
#include "log_builder.h"
#include "world.h"

namespace imasnap {
namespace {

using testing::BufRecord;
using testing::BuiltRecord;
using testing::Concatenate;
using testing::HashOf;
using testing::NgRecord;
using Records = std::vector<BuiltRecord>;

constexpr uint64_t kAttempt = 7;

// What the last segment has. It is of a boot's middle, so that it does not begin with
// boot_aggregate.
const Records kSegment = {NgRecord("/a"), NgRecord("/b")};
const BuiltRecord kBootAggregate = NgRecord("boot_aggregate");
const BuiltRecord kNext = NgRecord("/next");

BuiltRecord AggregateOf(const Records& records, uint64_t attempt) {
  Aggregate aggregate;
  aggregate.attempt = attempt;
  aggregate.record_count = records.size();
  aggregate.segment_hash = HashOf(HashAlg::kSha256, Concatenate(records));
  return BufRecord(kAggregateEvent, FormatAggregate(aggregate));
}

// One whose digest is not that of its buffer.
BuiltRecord Unreadable(BuiltRecord aggregate) {
  aggregate.fields[0].back() ^= std::byte{1};
  return aggregate;
}

// One that only its name and its buffer show.
BuiltRecord Renamed(BuiltRecord aggregate) {
  aggregate.template_name = "ima-sig";
  return aggregate;
}

const BuiltRecord kClosing = AggregateOf(kSegment, kAttempt);
const BuiltRecord kUnreadable = Unreadable(kClosing);
const BuiltRecord kOtherAttempt = AggregateOf(kSegment, kAttempt + 1);
// These aggregates closed other bytes.
const BuiltRecord kOlder = AggregateOf({kNext}, kAttempt - 1);
const BuiltRecord kOtherBytes = AggregateOf({kNext}, kAttempt);
const BuiltRecord kLater = AggregateOf({kNext}, kAttempt + 1);

Records operator+(Records records, const BuiltRecord& more) {
  records.push_back(more);
  return records;
}

SegmentKey Key(const Records& records, std::optional<uint64_t> attempt,
               SegmentState state = SegmentState::kStored) {
  const Bytes bytes = Concatenate(records);
  return {attempt, bytes.size(), HashOf(HashAlg::kSha256, bytes), state};
}

SegmentKey Closed() { return Key(kSegment, kAttempt); }
SegmentKey Staged() { return Key(kSegment, kNoAttempt); }
SegmentKey Deleted() { return Key(kSegment, kNoAttempt, SegmentState::kPurged); }
SegmentKey Discarded() { return Key(kSegment, kNoAttempt, SegmentState::kDiscarded); }
// Its metadata is missing.
SegmentKey Undescribed() { return Key(kSegment, std::nullopt); }

// What the kernel has. Without `staged` it has no staging.
struct Lists {
  Records live;
  std::optional<Records> staged{};
};

BootClues Unknown() {
  BootClues clues;
  clues.has_segments = true;
  return clues;
}

BootClues Counts(std::optional<uint32_t> then, std::optional<uint32_t> now) {
  BootClues clues = Unknown();
  clues.reset_count_then = then;
  clues.reset_count_now = now;
  return clues;
}

BootClues Equal() { return Counts(5, 5); }
BootClues Differ() { return Counts(5, 6); }

BootClues SameRun(BootClues clues = Unknown()) {
  clues.same_run = true;
  return clues;
}

BootClues OtherMachine(BootClues clues = Equal()) {
  clues.same_machine = false;
  return clues;
}

BootClues NoSegments(BootClues clues) {
  clues.has_segments = false;
  return clues;
}

struct Row {
  const char* name;
  std::optional<SegmentKey> last;
  BootClues clues;
  Lists lists;
  Continuation expected;
};

class ContinuityTest : public ::testing::TestWithParam<Row> {};

TEST_P(ContinuityTest, IsAsStoreMdSays) {
  const Row& row = GetParam();
  testing::FakeFileSystem fs(nullptr);
  const KernelFiles kernel(fs, "/securityfs");
  fs.Write(kernel.live_path(), AsText(Concatenate(row.lists.live)));
  if (row.lists.staged) {
    fs.Write(kernel.staged_path(), AsText(Concatenate(*row.lists.staged)));
  }
  auto lists = KernelLists::Open(kernel);
  ASSERT_TRUE(lists.ok()) << lists.error().ToString();
  const auto head = ReadHead(&*lists, row.last);
  ASSERT_TRUE(head.ok()) << head.error().ToString();
  EXPECT_EQ(head->staged, row.lists.staged && !row.lists.staged->empty());
  EXPECT_EQ(head->first.has_value(), head->staged || !row.lists.live.empty());
  EXPECT_EQ(ContinuationOf(row.clues, row.last, *head), row.expected);
}

constexpr auto kContinues = Continuation::kContinues;
constexpr auto kContains = Continuation::kContains;
constexpr auto kGap = Continuation::kGap;
constexpr auto kOtherBoot = Continuation::kOtherBoot;

#define ROWS(suite, ...)                                                      \
  INSTANTIATE_TEST_SUITE_P(suite, ContinuityTest,                             \
                           ::testing::ValuesIn(std::vector<Row> __VA_ARGS__), \
                           [](const auto& p) { return p.param.name; })

const std::optional<SegmentKey> kNone;
const SegmentKey kBeginning = Key({kBootAggregate}, kNoAttempt);
const SegmentKey kDeletedBeginning = Key({kBootAggregate}, kNoAttempt, SegmentState::kPurged);

ROWS(TheseComeFirst,
     {{"TheClosingAggregate", Closed(), Unknown(), {{kClosing, kNext}}, kContinues},
      {"TheClosingAggregateAlone", Closed(), Unknown(), {{kClosing}}, kContinues},
      {"TheClosingAggregateStaged", Closed(), Unknown(), {{kNext}, Records{kClosing}}, kContinues},
      {"TheClosingAggregateWhateverTheTpmCounts", Closed(), Differ(), {{kClosing}}, kContinues},
      {"TheClosingAggregateWhateverTheMachine", Closed(), OtherMachine(), {{kClosing}}, kContinues},
      {"TheClosingAggregateOfWhatHasNoMetadata", Undescribed(), Differ(), {{kClosing}}, kContinues},
      {"AnotherMachine", Closed(), OtherMachine(), {kSegment + kClosing}, kOtherBoot},
      {"AnotherMachineInTheSameRun", Closed(), OtherMachine(SameRun()), {{kNext}}, kOtherBoot},
      {"AnotherMachineByStaging", Staged(), OtherMachine(), {{}, kSegment}, kOtherBoot},
      {"AnotherMachineWithoutSegments", kNone, NoSegments(OtherMachine()), {{kNext}}, kOtherBoot},
      {"NoSegmentsAndCountsDiffer", kNone, NoSegments(Differ()), {{kNext}}, kOtherBoot},
      {"NoSegmentsAndCountsAreEqual", kNone, NoSegments(Equal()), {{kNext}}, kContinues},
      {"NoSegmentsAndNoCountThen", kNone, NoSegments(Counts({}, 6)), {{kNext}}, kContinues},
      {"NoSegmentsAndNoCountNow", kNone, NoSegments(Counts(5, {})), {{kNext}}, kContinues}});

ROWS(
    AggregateRule1SameRun,
    {{"NotPurged", Closed(), SameRun(), {kSegment + kClosing}, kContains},
     {"NotPurgedAndMoreCame", Closed(), SameRun(), {kSegment + kClosing + kNext}, kContains},
     {"NotPurgedAndCountsDiffer", Closed(), SameRun(Differ()), {kSegment + kClosing}, kContains},
     {"Gap", Closed(), SameRun(), {{kNext}}, kGap},
     {"GapAndCountsDiffer", Closed(), SameRun(Differ()), {{kNext}}, kGap},
     {"GapBeforeAnEmptyList", Closed(), SameRun(), {{}}, kGap},
     {"BytesWithoutTheAggregate", Closed(), SameRun(), {kSegment}, kGap},
     {"BytesAndAnotherRecord", Closed(), SameRun(), {kSegment + kNext}, kGap},
     {"BytesAndAnotherAttempt", Closed(), SameRun(), {kSegment + kOtherAttempt}, kGap},
     {"BytesAndAggregateOfOtherBytes", Closed(), SameRun(), {kSegment + kOtherBytes}, kGap},
     {"BytesAndUnreadableAggregate", Closed(), SameRun(), {kSegment + kUnreadable}, kGap},
     {"OtherBytes", Closed(), SameRun(), {{kSegment[0], NgRecord("/c"), kClosing}}, kGap},
     {"FewerRecords", Closed(), SameRun(), {{kSegment[0]}}, kGap},
     {"ARecordAcrossTheEnd", Closed(), SameRun(), {{kSegment[0], NgRecord("/bb"), kClosing}}, kGap},
     {"AggregateOfAnotherAttempt", Closed(), SameRun(), {{kOtherAttempt}}, kGap},
     {"AggregateOfOtherBytes", Closed(), SameRun(), {{kOtherBytes}}, kGap},
     {"UnreadableAggregate", Closed(), SameRun(), {{kUnreadable}}, kGap}});

ROWS(AggregateRule2CountsDiffer,
     {{"Contained", Closed(), Differ(), {kSegment + kClosing}, kOtherBoot},
      {"LaterAggregate", Closed(), Differ(), {{kLater}}, kOtherBoot},
      {"OtherRecord", Closed(), Differ(), {{kNext}}, kOtherBoot}});

ROWS(AggregateRule3Contained,
     {{"CountsAreEqual", Closed(), Equal(), {kSegment + kClosing}, kContains},
      {"CountThenUnknown", Closed(), Counts({}, 6), {kSegment + kClosing}, kContains},
      {"CountNowUnknown", Closed(), Counts(5, {}), {kSegment + kClosing}, kContains},
      {"Staged", Closed(), Unknown(), {{kNext}, kSegment + kClosing}, kContains},
      {"BehindWhatIsStaged", Closed(), Equal(), {kSegment + kClosing, Records{kNext}}, kGap},
      {"MetadataMissing", Undescribed(), Unknown(), {kSegment + kClosing}, kContains}});

ROWS(AggregateRule4CountsAreEqual,
     {{"OwnBeginning", Closed(), Equal(), {{kBootAggregate}}, kOtherBoot},
      {"OwnBeginningAndAttemptUnknown", Undescribed(), Equal(), {{kBootAggregate}}, kGap},
      {"OwnBeginningAndLastSegmentDamaged", kNone, Equal(), {{kBootAggregate}}, kGap},
      {"OtherRecord", Closed(), Equal(), {{kNext}}, kGap},
      {"LaterAggregate", Closed(), Equal(), {{kLater}}, kGap},
      {"OlderAggregate", Closed(), Equal(), {{kOlder}}, kGap},
      {"EmptyList", Closed(), Equal(), {{}}, kGap}});

ROWS(AggregateRule5CountUnknown,
     {{"LaterAggregate", Closed(), Unknown(), {{kLater}}, kGap},
      {"LaterAggregateAndCountThenUnknown", Closed(), Counts({}, 6), {{kLater}}, kGap},
      {"LaterAggregateAndCountNowUnknown", Closed(), Counts(5, {}), {{kLater}}, kGap},
      {"AggregateOfTheSameAttempt", Closed(), Unknown(), {{kOtherBytes}}, kGap},
      {"OlderAggregate", Closed(), Unknown(), {{kOlder}}, kOtherBoot},
      {"UnreadableAggregate", Closed(), Unknown(), {{Unreadable(kOlder)}}, kGap},
      {"RenamedAggregate", Closed(), Unknown(), {{Renamed(kOlder)}}, kGap},
      {"AttemptUnknown", Undescribed(), Unknown(), {{kOlder}}, kGap},
      {"LastSegmentDamaged", kNone, Unknown(), {{kOlder}}, kGap},
      {"LastSegmentDamagedAndOtherRecord", kNone, Unknown(), {{kNext}}, kOtherBoot},
      {"OwnBeginning", Closed(), Unknown(), {{kBootAggregate}}, kOtherBoot},
      {"OtherRecord", Closed(), Unknown(), {{kNext}}, kOtherBoot},
      {"EmptyList", Closed(), Unknown(), {{}}, kOtherBoot}});

ROWS(StagingRule1SameRun,
     {{"StillStaged", Staged(), SameRun(), {{kNext}, kSegment}, kContains},
      {"StillStagedWhateverTheTpmCounts", Staged(), SameRun(Differ()), {{}, kSegment}, kContains},
      {"MoreIsStaged", Staged(), SameRun(), {{}, kSegment + kNext}, kContinues},
      {"TheBytesAgainInTheList", Staged(), SameRun(), {kSegment, Records{}}, kContinues},
      {"TheBytesAgainStaged", Deleted(), SameRun(), {{}, kSegment}, kContinues},
      {"OtherRecord", Staged(), SameRun(Differ()), {{kNext}, Records{}}, kContinues},
      {"OwnBeginning", Staged(), SameRun(), {{kBootAggregate}}, kContinues},
      {"MetadataMissingAndStillStaged", Undescribed(), SameRun(), {{}, kSegment}, kContains}});

ROWS(StagingRule2CountsKnown,
     {{"KexecAndNothingCarriedOver", Staged(), Equal(), {{kBootAggregate}}, kContinues},
      {"KexecAndOtherRecord", Staged(), Equal(), {{kNext}}, kContinues},
      {"KexecCarriedTheSegmentOver", Staged(), Equal(), {kSegment + kBootAggregate}, kContains},
      {"KexecAndTheBytesAgain", Deleted(), Equal(), {kSegment + kBootAggregate}, kContinues},
      {"ColdBoot", Staged(), Differ(), {{kBootAggregate}}, kOtherBoot},
      {"ColdBootAndTheSameBytes", Staged(), Differ(), {kSegment}, kOtherBoot}});

ROWS(StagingRule3CarriedOver,
     {{"InTheList", Staged(), Unknown(), {kSegment + kBootAggregate}, kContains},
      {"AllThereIs", Staged(), Unknown(), {kSegment}, kContains},
      {"StagedAgain", Staged(), Unknown(), {{}, kSegment + kNext}, kContains},
      {"CountNowUnknown", Staged(), Counts(5, {}), {kSegment}, kContains},
      {"Beginning", kBeginning, Unknown(), {{kBootAggregate, kNext}}, kContains},
      {"MetadataMissing", Undescribed(), Unknown(), {kSegment + kNext}, kContains}});

ROWS(StagingRule4Otherwise,
     {{"OwnBeginning", Staged(), Unknown(), {{kBootAggregate, kNext}}, kOtherBoot},
      {"OwnBeginningStaged", Staged(), Unknown(), {{kNext}, Records{kBootAggregate}}, kOtherBoot},
      {"OtherRecord", Staged(), Unknown(), {{kNext}}, kContinues},
      {"Aggregate", Staged(), Unknown(), {{kClosing}}, kContinues},
      {"EmptyList", Staged(), Unknown(), {{}}, kContinues},
      {"TheBytesOfWhatWasDeleted", Deleted(), Unknown(), {kSegment}, kContinues},
      {"TheBytesOfWhatWasDiscarded", Discarded(), Unknown(), {kSegment}, kContinues},
      {"TheDeletedBeginningAgain", kDeletedBeginning, Unknown(), {{kBootAggregate}}, kOtherBoot}});

// Recovery then fails and closes nothing.
TEST(BootCluesTest, OnlyASegmentTakenByStagingNeedsTheResetCount) {
  EXPECT_TRUE(NeedsResetCount(Counts(5, {}), Staged()));
  EXPECT_FALSE(NeedsResetCount(Counts(5, 6), Staged()));
  EXPECT_FALSE(NeedsResetCount(Counts({}, {}), Staged())) << "none was known then";
  EXPECT_FALSE(NeedsResetCount(OtherMachine(Counts(5, {})), Staged()));
  EXPECT_FALSE(NeedsResetCount(Counts(5, {}), Closed()));
  EXPECT_FALSE(NeedsResetCount(Counts(5, {}), Undescribed()));
  EXPECT_FALSE(NeedsResetCount(Counts(5, {}), std::nullopt));
}

TEST(BootCluesTest, WhatIsUnknownIsTheSameMachineAndAnotherRun) {
  testing::World world;
  const std::string here(32, 'a');
  const std::string there(32, 'c');
  struct Case {
    std::string machine_then, machine_now, boot, last_boot, boot_now;
    bool same_machine, same_run;
  };
  const Case cases[] = {
      {here, here, here, here, here, true, true},
      {here, there, here, here, here, false, true},
      {"", here, here, "", here, true, false},  // nothing says which run was the last
      {"", here, there, here, here, true, true},
      {here, "", here, there, here, true, false},   // a kexec came since
      {here, here, there, here, here, true, true},  // it is the last run that counts
      {"", "", "", "", here, true, false},
      {here, here, here, here, "", true, false},
      {here, here, "", "", "", true, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(&c - cases);
    Environment env = world.Env();
    env.identity = {c.machine_now, c.boot_now};
    Session session;
    session.info.emplace();
    session.info->machine = c.machine_then;
    session.info->boot = c.boot;
    session.info->last_boot = c.last_boot;
    session.info->reset_count = 4;
    const BootClues clues = CluesOf(env, session);
    EXPECT_EQ(clues.same_machine, c.same_machine);
    EXPECT_EQ(clues.same_run, c.same_run);
    EXPECT_EQ(clues.reset_count_then, 4U);
    EXPECT_EQ(clues.reset_count_now, world.reset_count);
    EXPECT_FALSE(clues.has_segments);
  }
}

FirstRecord First(const BuiltRecord& record) {
  const Bytes bytes = record.Binary();
  LogReader reader(ByteView(bytes), {}, "list", LogReader::Check::kFraming);
  return FirstRecord(**reader.Next());
}

TEST(LinkTest, PartFollowsASegmentByTheAggregateThatClosedIt) {
  SegmentKey seen = Closed();
  seen.aggregate = First(kClosing).data_sha256;
  SegmentKey other_seen = seen;
  other_seen.aggregate = First(kOtherBytes).data_sha256;
  struct Case {
    SegmentKey before;
    BuiltRecord first;
    Link expected;
  };
  const Case cases[] = {
      {Closed(), kClosing, Link::kClosed},
      {Closed(), kNext, Link::kNoAggregate},
      {Closed(), kBootAggregate, Link::kNoAggregate},
      {Closed(), Renamed(kClosing), Link::kNoAggregate},
      {Closed(), kUnreadable, Link::kOtherAggregate},
      {Closed(), kOtherAttempt, Link::kOtherAggregate},
      {Closed(), kOtherBytes, Link::kOtherAggregate},
      // The program does not know what closed it, so an aggregate must be its own.
      {Undescribed(), kClosing, Link::kClosed},
      {Undescribed(), kOtherAttempt, Link::kClosed},
      {Undescribed(), kOtherBytes, Link::kOtherAggregate},
      {Undescribed(), kUnreadable, Link::kOtherAggregate},
      {Undescribed(), kNext, Link::kUnchained},
      // Nothing closed it: an aggregate after it is that of a mark.
      {Staged(), kNext, Link::kUnchained},
      {Staged(), kClosing, Link::kUnchained},
      {Staged(), AggregateOf({}, kAttempt), Link::kUnchained},
      // The aggregate was seen.
      {seen, kClosing, Link::kClosed},
      {seen, kOtherBytes, Link::kOtherAggregate},
      {seen, kNext, Link::kNoAggregate},
      {other_seen, kClosing, Link::kOtherAggregate},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(LinkTo(c.before, First(c.first)), c.expected) << "case " << &c - cases;
  }
}

class LeaveOutTest : public ::testing::Test {
 protected:
  // The metadata has no attempt.
  void Add(const Records& records, std::optional<uint64_t> attempt,
           SegmentState state = SegmentState::kStored) {
    Segment segment;
    segment.number = segments_.size() + 1;
    segment.path = "/" + SegmentName(segment.number) + ".ima";
    segment.has_data = true;
    const Bytes bytes = Concatenate(records);
    fs_.Write(segment.path, AsText(bytes));
    if (attempt) {
      segment.info.emplace();
      segment.info->number = segment.number;
      segment.info->attempt = *attempt;
      segment.info->bytes = bytes.size();
      segment.info->sha256 = HashOf(HashAlg::kSha256, bytes);
      segment.info->state = state;
    }
    segments_.push_back(std::move(segment));
  }
  void ExpectLeft(const Records& list, Continuation expected, size_t left) {
    const Bytes bytes = Concatenate(list);
    const auto find = [&bytes](const std::optional<SegmentKey>& segment) {
      SpanSource source(bytes);
      return ReadHead(source, "list", segment);
    };
    std::vector<Segment> segments = segments_;
    const auto found = LeaveOutContained(fs_, clues_, find, &segments);
    ASSERT_TRUE(found.ok()) << found.error().ToString();
    EXPECT_EQ(*found, expected);
    ASSERT_EQ(segments.size(), left);
    for (size_t i = 0; i < left; ++i) {
      EXPECT_EQ(segments[i].number, i + 1);
    }
  }

  testing::FakeFileSystem fs_{nullptr};
  BootClues clues_ = Unknown();
  std::vector<Segment> segments_;
};

TEST_F(LeaveOutTest, NoSegmentIsLeftOutIfTheListFollows) {
  Add({kNext}, kAttempt - 1);
  Add(kSegment, kAttempt);
  ExpectLeft({kClosing, kNext}, kContinues, 2);
  ExpectLeft({kLater}, kGap, 2);
  clues_ = OtherMachine();
  ExpectLeft(kSegment + kClosing, kOtherBoot, 2);
}

TEST_F(LeaveOutTest, TheLastSegmentIsLeftOutIfTheListContainsIt) {
  Add(kSegment, kAttempt);
  ExpectLeft(kSegment + kClosing, kContains, 0);
  segments_.clear();
  Add({kNext}, kAttempt - 1);
  Add(kSegment, kAttempt);
  ExpectLeft(kSegment + kClosing, kContains, 1);
}

TEST_F(LeaveOutTest, WithoutMetadataTheSegmentItSupersedesIsLeftOutToo) {
  Add({kNext}, kAttempt - 1);
  Add(kSegment, kAttempt);
  Add(kSegment + kClosing, std::nullopt);
  const Records list = kSegment + kClosing;
  ExpectLeft(list + AggregateOf(list, kAttempt + 1), kContains, 1);
  ExpectLeft(list, kContains, 1);  // staged, or carried over
}

TEST_F(LeaveOutTest, MetadataThatNamesNoSupersededSegmentIsBelieved) {
  Add(kSegment, kAttempt);
  Add(kSegment + kClosing, kAttempt + 1);
  const Records list = kSegment + kClosing;
  ExpectLeft(list + AggregateOf(list, kAttempt + 1), kContains, 1);
}

TEST_F(LeaveOutTest, TheSegmentBeforeIsKeptIfTheListDoesNotContainIt) {
  Add({kNext}, kAttempt);
  Add(kSegment, std::nullopt);
  ExpectLeft(kSegment + kClosing, kContains, 1);
  // The same bytes were measured again, after staging deleted the first.
  segments_.clear();
  Add(kSegment, kNoAttempt, SegmentState::kPurged);
  Add(kSegment + kNext, std::nullopt);
  ExpectLeft(kSegment + kNext, kContains, 1);
}

TEST_F(LeaveOutTest, DamagedLastSegmentIsKept) {
  Add(kSegment, std::nullopt);
  fs_.Write(segments_.back().path, "no record");
  ExpectLeft(kSegment + kClosing, kOtherBoot, 1);
  ExpectLeft({kClosing}, kGap, 1);
}

TEST_F(LeaveOutTest, WhatTheListAnswersIsPassedOn) {
  Add(kSegment, kAttempt);
  const auto fails = [](const std::optional<SegmentKey>&) -> Result<ListHead> {
    return MakeError(ErrorCode::kFailed, "no list");
  };
  const auto found = LeaveOutContained(fs_, clues_, fails, &segments_);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, ErrorCode::kFailed);
  EXPECT_EQ(segments_.size(), 1U);
}

TEST(ContainsTest, ASegmentOfAnAggregateAndOneThatStagingDidNotDelete) {
  SegmentInfo info;
  const Bytes bytes = Concatenate(kSegment);
  info.bytes = bytes.size();
  info.sha256 = HashOf(HashAlg::kSha256, bytes);
  const auto contains = [&info](const Records& list) {
    const Bytes data = Concatenate(list);
    SpanSource source(data);
    return Contains(source, "list", info).value();
  };
  info.attempt = kAttempt;
  for (const SegmentState state : {SegmentState::kStored, SegmentState::kPurged}) {
    info.state = state;
    EXPECT_TRUE(contains(kSegment + kClosing + kNext));
    EXPECT_FALSE(contains(kSegment + kNext));
    EXPECT_FALSE(contains({kClosing}));
  }
  info.attempt = kNoAttempt;
  EXPECT_FALSE(contains(kSegment + kNext)) << "it was deleted";
  info.state = SegmentState::kStored;
  EXPECT_TRUE(contains(kSegment + kNext));
  EXPECT_FALSE(contains({kNext}));
}

}  // namespace
}  // namespace imasnap
