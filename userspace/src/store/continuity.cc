// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/continuity.h"

#include "log/log_reader.h"

namespace imasnap {
namespace {

// A segment that staging took and the kernel deleted. The same bytes can occur again:
// as violations, or as records measured after a flush of the hash table.
bool IsDeleted(const SegmentKey& key) {
  return key.attempt == kNoAttempt && key.state != SegmentState::kStored;
}

// "If no aggregate closed it (staging)": nothing in the list proves that it follows.
Continuation WithoutAggregate(const BootClues& clues, const SegmentKey& last,
                              const ListHead& head) {
  // Within one run the bytes are the segment's only if they alone are staged.
  const bool contained = head.place == SegmentPlace::kInList &&
                         last.state == SegmentState::kStored &&
                         (!clues.same_run || (head.staged && head.ends));
  const Continuation same = contained ? Continuation::kContains : Continuation::kContinues;
  if (clues.same_run) {  // rule 1
    return same;
  }
  if (clues.reset_count_then && clues.reset_count_now) {  // rule 2
    return *clues.reset_count_then == *clues.reset_count_now ? same : Continuation::kOtherBoot;
  }
  if (contained) {  // rule 3
    return same;
  }
  // Rule 4: a kernel's own list begins with boot_aggregate. One that a kexec carried over
  // begins with what was not deleted, if there was anything.
  return head.first && head.first->begins_boot ? Continuation::kOtherBoot : same;
}

// "If an aggregate closed the last segment", or may have.
Continuation WithAggregate(const BootClues& clues, std::optional<uint64_t> attempt,
                           const ListHead& head) {
  const bool contained = head.place == SegmentPlace::kInList;
  const bool both = clues.reset_count_then && clues.reset_count_now;
  if (clues.same_run) {  // rule 1
    return contained ? Continuation::kContains : Continuation::kGap;
  }
  if (both && *clues.reset_count_then != *clues.reset_count_now) {  // rule 2
    return Continuation::kOtherBoot;
  }
  if (contained) {  // rule 3
    return Continuation::kContains;
  }
  if (both) {
    // Rule 4: a kexec carries nothing over without the aggregate that closed the
    // segment. So a list that begins with boot_aggregate is that of a new boot. Its TPM
    // may start its count again at each boot, like that of a virtual machine. Any other
    // list has a gap before it.
    const bool own = head.first && head.first->begins_boot;
    return attempt && own ? Continuation::kOtherBoot : Continuation::kGap;
  }
  // Rule 5: the records before such a list are in some segment. If it or the last
  // segment does not show its attempt, the list may be of this session. A damaged
  // session must not count as that of an earlier boot and be removed.
  if (!head.first || head.first->event != kAggregateEvent) {
    return Continuation::kOtherBoot;
  }
  const std::optional<Result<Aggregate>>& first = head.first->aggregate;
  const bool older = first && first->ok() && (*first)->attempt < attempt.value_or(0);
  return older ? Continuation::kOtherBoot : Continuation::kGap;
}

}  // namespace

SegmentKey KeyOf(const SegmentInfo& info) {
  return {info.attempt, info.bytes, info.sha256, info.state};
}

Result<std::optional<SegmentKey>> LastKey(FileSystem& fs, const std::vector<Segment>& segments) {
  if (segments.empty()) {
    return std::optional<SegmentKey>();
  }
  const Segment& last = segments.back();
  if (last.info) {
    return std::optional<SegmentKey>(KeyOf(*last.info));
  }
  if (!last.has_data) {
    return std::optional<SegmentKey>();
  }
  auto described = DescribeSegment(fs, last);
  if (!described.ok()) {
    if (described.error().code == ErrorCode::kMalformed) {
      return std::optional<SegmentKey>();  // verification reports it
    }
    return std::move(described.error());
  }
  return std::optional<SegmentKey>({std::nullopt, described->bytes, described->sha256});
}

FirstRecord::FirstRecord(const Record& record)
    : event(record.event_name()),
      begins_boot(IsBootAggregate(record)),
      sha256(HashBytes(HashAlg::kSha256, record.raw)),
      data_sha256(HashBytes(HashAlg::kSha256, record.template_data)) {
  if (IsAggregate(record)) {
    aggregate = AggregateFromRecord(record);
  }
}

Link LinkTo(const SegmentKey& before, const FirstRecord& first) {
  if (before.attempt == kNoAttempt) {
    return Link::kUnchained;
  }
  if (!first.aggregate) {
    return before.attempt ? Link::kNoAggregate : Link::kUnchained;
  }
  if (before.aggregate) {
    return first.data_sha256 == *before.aggregate ? Link::kClosed : Link::kOtherAggregate;
  }
  const Result<Aggregate>& aggregate = *first.aggregate;
  const bool closed = aggregate.ok() &&
                      aggregate->attempt == before.attempt.value_or(aggregate->attempt) &&
                      aggregate->segment_hash == before.sha256;
  return closed ? Link::kClosed : Link::kOtherAggregate;
}

Result<ListHead> ReadHead(ByteSource& list, const std::string& name,
                          const std::optional<SegmentKey>& segment) {
  ListHead head;
  LogReader reader(list, {}, name, LogReader::Check::kFraming);
  IMASNAP_ASSIGN(const Record* record, reader.Next());
  if (record == nullptr) {
    return head;
  }
  head.first.emplace(*record);
  if (!segment || IsDeleted(*segment)) {
    return head;
  }
  if (LinkTo(*segment, *head.first) == Link::kClosed) {
    head.place = SegmentPlace::kBefore;
    head.closing = **head.first->aggregate;
    return head;
  }
  Hasher hasher(HashAlg::kSha256);
  while (record != nullptr && reader.bytes() < segment->bytes) {
    hasher.Update(record->raw);
    IMASNAP_ASSIGN(record, reader.Next());
  }
  if (record == nullptr || reader.bytes() != segment->bytes) {
    return head;
  }
  hasher.Update(record->raw);
  if (!(hasher.Finish() == segment->sha256)) {
    return head;
  }
  IMASNAP_ASSIGN(record, reader.Next());
  head.ends = record == nullptr;
  if (record != nullptr) {
    const FirstRecord after(*record);
    if (LinkTo(*segment, after) == Link::kClosed) {
      head.closing = **after.aggregate;
    }
  }
  if (head.closing || segment->attempt.value_or(kNoAttempt) == kNoAttempt) {
    head.place = SegmentPlace::kInList;
  }
  return head;
}

Result<ListHead> ReadHead(KernelLists* lists, const std::optional<SegmentKey>& segment) {
  IMASNAP_RETURN_IF_ERROR(lists->Rewind());
  if (File* const staged = lists->staged()) {
    // What is staged was staged together, so a segment that begins there ends there.
    IMASNAP_ASSIGN(ListHead head, ReadHead(*staged, lists->kernel().staged_path(), segment));
    if (head.first) {
      head.staged = true;
      return head;
    }
  }
  return ReadHead(lists->live(), lists->kernel().live_path(), segment);
}

BootClues CluesOf(const Environment& env, const Session& session) {
  BootClues clues;
  clues.reset_count_now = env.reset_count();
  clues.has_segments = !session.segments.empty();
  if (session.info) {
    const SessionInfo& info = *session.info;
    clues.reset_count_then = info.reset_count;
    clues.same_run = !info.last_boot.empty() && info.last_boot == env.identity.boot;
    clues.same_machine = info.machine.empty() || env.identity.machine.empty() ||
                         info.machine == env.identity.machine;
  }
  return clues;
}

Continuation ContinuationOf(const BootClues& clues, const std::optional<SegmentKey>& last,
                            const ListHead& head) {
  // The aggregate's hash proves that the segment came right before it, whatever the TPM
  // counts (TPM2_Clear sets it to zero).
  if (head.place == SegmentPlace::kBefore) {
    return Continuation::kContinues;
  }
  if (!clues.same_machine) {
    return Continuation::kOtherBoot;
  }
  if (!last && !clues.has_segments) {
    const bool differ = clues.reset_count_then && clues.reset_count_now &&
                        *clues.reset_count_then != *clues.reset_count_now;
    return differ ? Continuation::kOtherBoot : Continuation::kContinues;
  }
  const bool without = head.place == SegmentPlace::kInList && !head.closing;
  if (last && (last->attempt == kNoAttempt || without)) {
    return WithoutAggregate(clues, *last, head);
  }
  return WithAggregate(clues, last ? last->attempt : std::nullopt, head);
}

bool NeedsResetCount(const BootClues& clues, const std::optional<SegmentKey>& last) {
  return clues.same_machine && clues.reset_count_then && !clues.reset_count_now && last &&
         last->attempt == kNoAttempt;
}

Result<bool> Contains(ByteSource& list, const std::string& name, const SegmentInfo& segment) {
  IMASNAP_ASSIGN(const ListHead head, ReadHead(list, name, KeyOf(segment)));
  return ContinuationOf({}, KeyOf(segment), head) == Continuation::kContains;
}

Result<Continuation> LeaveOutContained(FileSystem& fs, const BootClues& clues,
                                       const FindInList& find, std::vector<Segment>* segments) {
  IMASNAP_ASSIGN(const std::optional<SegmentKey> last, LastKey(fs, *segments));
  IMASNAP_ASSIGN(const ListHead head, find(last));
  const Continuation found = ContinuationOf(clues, last, head);
  if (found != Continuation::kContains) {
    return found;
  }
  const bool described = segments->back().info.has_value();
  segments->pop_back();
  // What a segment supersedes is left out already, unless its metadata is missing.
  if (described || segments->empty() || !segments->back().info) {
    return found;
  }
  const SegmentKey before = KeyOf(*segments->back().info);
  IMASNAP_ASSIGN(const ListHead earlier, find(before));
  if (ContinuationOf(clues, before, earlier) == Continuation::kContains) {
    segments->pop_back();
  }
  return found;
}

}  // namespace imasnap
