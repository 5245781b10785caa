// SPDX-License-Identifier: GPL-2.0-or-later
#include "session.h"

#include <cerrno>

namespace imasnap {

Result<std::unique_ptr<File>> AcquireLock(const Environment& env, LockMode mode) {
  const std::string& path = env.config.lock_file;
  // Opened without O_CREAT first: in a sticky directory fs.protected_regular
  // refuses that to all but the owner of the file.
  auto file = env.fs.OpenFile(path, OpenMode::kRead);
  if (!file.ok() && file.error().errno_value == ENOENT) {
    IMASNAP_RETURN_IF_ERROR(env.fs.MakeDirectories(ParentDirectory(path)));
    file = env.fs.OpenFile(path, OpenMode::kLockFile);
  }
  if (!file.ok()) {
    return file;
  }
  IMASNAP_RETURN_IF_ERROR((*file)->TryLock(mode));
  return file;
}

SessionMatch MatchSession(std::optional<uint32_t> stored, std::optional<uint32_t> now,
                          bool has_segments, std::optional<uint64_t> last_attempt,
                          const LiveHead& head) {
  const bool both = stored && now;
  if (!has_segments) {
    // Nothing in it that could be of another boot.
    return both && *stored != *now ? SessionMatch::kOtherBoot : SessionMatch::kSame;
  }
  // The aggregate proves by its hash that the segment came right before it,
  // whatever a TPM's counter says (TPM2_Clear sets it to zero).
  if (head.start == LiveStart::kAfterSegment) {
    return SessionMatch::kSame;
  }
  if (both && *stored != *now) {
    return SessionMatch::kOtherBoot;
  }
  if (head.start == LiveStart::kContainsSegment) {
    return SessionMatch::kSame;
  }
  if (both) {
    return SessionMatch::kSameGap;
  }
  // A list that begins with an aggregate has its beginning somewhere. If it or
  // the last segment does not tell its attempt any more, that may be here: what
  // was damaged must not be taken for a store of an earlier boot and removed.
  const bool damaged = !head.first_aggregate || !last_attempt;
  const bool later = head.first_event == kAggregateEvent &&
                     (damaged || head.first_aggregate->attempt >= *last_attempt);
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

Status LeaveOutUnpurged(const std::function<Result<std::unique_ptr<File>>()>& open, LiveStart start,
                        std::vector<Segment>* segments) {
  // With a segment go those that it supersedes, which only its metadata would
  // have named.
  bool contained = start == LiveStart::kContainsSegment;
  while (contained) {
    segments->pop_back();
    contained = false;
    if (!segments->empty() && segments->back().info) {
      IMASNAP_ASSIGN(const std::unique_ptr<File> live, open());
      IMASNAP_ASSIGN(const LiveHead before,
                     CompareWithLive(*live, live->path(), KeyOf(*segments->back().info)));
      contained = before.start == LiveStart::kContainsSegment;
    }
  }
  return {};
}

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
  IMASNAP_ASSIGN(view.session, env.store().LoadNewest());
  if (view.session && !view.session->segments.empty()) {
    IMASNAP_ASSIGN(const std::optional<SegmentKey> key, LastKey(env.fs, *view.session));
    IMASNAP_ASSIGN(view.live, kernel.OpenLive());
    IMASNAP_ASSIGN(const LiveHead head, CompareWithLive(*view.live, view.live_path, key));
    view.match = MatchSession(view.session->info ? view.session->info->reset_count : std::nullopt,
                              env.reset_count(), true, key ? key->attempt : std::nullopt, head);
    if (view.match == SessionMatch::kOtherBoot) {
      view.session.reset();
      view.match = SessionMatch::kSame;
    } else {
      view.segments = view.session->segments;
      IMASNAP_RETURN_IF_ERROR(
          LeaveOutUnpurged([&kernel] { return kernel.OpenLive(); }, head.start, &view.segments));
    }
  } else {
    view.session.reset();
  }
  IMASNAP_ASSIGN(view.live, kernel.OpenLive());
  return view;
}

}  // namespace imasnap
