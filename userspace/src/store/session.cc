// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/session.h"

#include <cerrno>

namespace imasnap {

BootEvidence EvidenceOf(const Environment& env, const Session& session,
                        const std::optional<SegmentKey>& key) {
  BootEvidence evidence;
  evidence.reset_count_now = env.reset_count();
  evidence.has_segments = !session.segments.empty();
  evidence.last = key;
  if (session.info) {
    const SessionInfo& info = *session.info;
    evidence.reset_count_then = info.reset_count;
    const std::string& boot = info.last_boot.empty() ? info.boot : info.last_boot;
    evidence.same_run = !boot.empty() && boot == env.identity.boot;
    evidence.same_machine = info.machine.empty() || env.identity.machine.empty() ||
                            info.machine == env.identity.machine;
  }
  if (evidence.has_segments && session.segments.back().info) {
    evidence.last_state = session.segments.back().info->state;
  }
  return evidence;
}

std::optional<SegmentKey> ToFind(const BootEvidence& evidence) {
  const bool staged = evidence.last && evidence.last->attempt == kNoAttempt;
  return staged && evidence.last_state != SegmentState::kStored ? std::nullopt : evidence.last;
}

bool StillInKernel(const BootEvidence& evidence, const KernelHead& head) {
  if (head.start != LiveStart::kContainsSegment) {
    return false;
  }
  if (head.closing) {
    return true;
  }
  // Bytes alone can come again, by violations or after a flush of the hash
  // table: in the same run they are the segment's only where they were staged.
  if (evidence.last_state != SegmentState::kStored) {
    return false;
  }
  return !evidence.same_run || (head.staged && head.ends);
}

namespace {

// Where no aggregate closed the last segment, nothing in the list proves that
// it goes on from there.
SessionMatch MatchWithoutAggregate(const BootEvidence& evidence, const KernelHead& head) {
  if (evidence.same_run) {
    return SessionMatch::kSame;
  }
  if (evidence.reset_count_then && evidence.reset_count_now) {
    return *evidence.reset_count_then == *evidence.reset_count_now ? SessionMatch::kSame
                                                                   : SessionMatch::kOtherBoot;
  }
  if (StillInKernel(evidence, head)) {
    return SessionMatch::kSame;
  }
  // A kernel's own list begins with boot_aggregate; one that was carried over a
  // kexec goes on with what was not deleted, if there was anything.
  return head.first_event == kBootAggregateEvent ? SessionMatch::kOtherBoot : SessionMatch::kSame;
}

}  // namespace

SessionMatch MatchSession(const BootEvidence& evidence, const KernelHead& head) {
  const std::optional<uint32_t> stored = evidence.reset_count_then;
  const std::optional<uint32_t> now = evidence.reset_count_now;
  const bool both = stored && now;
  // The aggregate proves by its hash that the segment came right before it,
  // whatever a TPM's counter says (TPM2_Clear sets it to zero).
  if (head.start == LiveStart::kAfterSegment) {
    return SessionMatch::kSame;
  }
  if (!evidence.same_machine) {
    return SessionMatch::kOtherBoot;
  }
  if (!evidence.has_segments) {
    // Nothing in it that could be of another boot.
    return both && *stored != *now ? SessionMatch::kOtherBoot : SessionMatch::kSame;
  }
  const std::optional<uint64_t> last_attempt =
      evidence.last ? evidence.last->attempt : std::nullopt;
  const bool contained = head.start == LiveStart::kContainsSegment;
  if (last_attempt == kNoAttempt || (contained && !head.closing)) {
    return MatchWithoutAggregate(evidence, head);
  }
  if (evidence.same_run) {
    return contained ? SessionMatch::kSame : SessionMatch::kSameGap;
  }
  if (both && *stored != *now) {
    return SessionMatch::kOtherBoot;
  }
  if (contained) {
    return SessionMatch::kSame;
  }
  if (both) {
    // What an aggregate closed is never carried over without it. So a list that has
    // its own beginning is a new boot's, with a TPM that counts anew each time, as
    // that of a virtual machine may, or was not carried over at all.
    return last_attempt && head.first_event == kBootAggregateEvent ? SessionMatch::kOtherBoot
                                                                   : SessionMatch::kSameGap;
  }
  // A list that begins with an aggregate has its beginning somewhere. If it or
  // the last segment does not tell its attempt any more, that may be here: what
  // was damaged must not be taken for a store of an earlier boot and removed.
  const uint64_t least = last_attempt ? *last_attempt : 0;
  const bool later = head.first_event == kAggregateEvent &&
                     (!head.first_aggregate || head.first_aggregate->attempt >= least);
  return later ? SessionMatch::kSameGap : SessionMatch::kOtherBoot;
}

Result<std::optional<SegmentKey>> LastKey(FileSystem& fs, const Session& session) {
  if (session.segments.empty()) {
    return std::optional<SegmentKey>();
  }
  const Segment& last = session.segments.back();
  if (last.info) {
    return std::optional<SegmentKey>(KeyOf(*last.info));
  }
  if (!last.has_data) {
    return std::optional<SegmentKey>();
  }
  auto described = DescribeSegment(fs, last);
  if (!described.ok()) {
    if (described.error().code == ErrorCode::kMalformed) {
      return std::optional<SegmentKey>();  // found again by verification
    }
    return std::move(described.error());
  }
  return std::optional<SegmentKey>({std::nullopt, described->bytes, described->sha256});
}

namespace {

// Finds the segments of this boot that come before what the kernel holds.
Status FindSegments(const Environment& env, KernelLists* lists, LogView* view) {
  IMASNAP_ASSIGN(view->session, env.store().LoadNewest());
  if (!view->session || view->session->segments.empty()) {
    view->session.reset();
    return {};
  }
  IMASNAP_ASSIGN(const std::optional<SegmentKey> key, LastKey(env.fs, *view->session));
  const BootEvidence evidence = EvidenceOf(env, *view->session, key);
  IMASNAP_ASSIGN(const KernelHead head, lists->Compare(ToFind(evidence)));
  view->match = MatchSession(evidence, head);
  if (view->match == SessionMatch::kOtherBoot) {
    view->session.reset();
    view->match = SessionMatch::kSame;
    return {};
  }
  view->segments = view->session->segments;
  // The kernel still has a segment that was not purged, and with it those that
  // it supersedes, which only its metadata would have named.
  bool contained = StillInKernel(evidence, head);
  while (contained) {
    view->segments.pop_back();
    contained = false;
    if (!view->segments.empty() && view->segments.back().info) {
      BootEvidence before = evidence;
      before.last = KeyOf(*view->segments.back().info);
      before.last_state = view->segments.back().info->state;
      IMASNAP_ASSIGN(const KernelHead earlier, lists->Compare(ToFind(before)));
      contained = StillInKernel(before, earlier);
    }
  }
  return {};
}

}  // namespace

Result<LogView> OpenLogView(const Environment& env) {
  IMASNAP_ASSIGN(std::unique_ptr<File> lock, AcquireLock(env, LockMode::kShared));
  IMASNAP_ASSIGN(LogView view, OpenLogViewLocked(env));
  view.lock = std::move(lock);
  return view;
}

Result<LogView> OpenLogViewLocked(const Environment& env) {
  LogView view;
  const KernelLog kernel = env.kernel();
  view.live_path = kernel.live_path();
  view.staged_path = kernel.staged_path();
  IMASNAP_ASSIGN(KernelLists lists, KernelLists::Open(kernel));
  view.has_staging = lists.has_staging();
  if (view.has_staging) {
    IMASNAP_RETURN_IF_ERROR(lists.Spool());
  }
  IMASNAP_RETURN_IF_ERROR(FindSegments(env, &lists, &view));
  IMASNAP_ASSIGN(view.staged, lists.TakeStaged());
  IMASNAP_ASSIGN(view.live, lists.TakeLive());
  return view;
}

}  // namespace imasnap
