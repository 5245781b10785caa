// SPDX-License-Identifier: GPL-2.0-or-later
#include "recovery.h"

#include <fmt/format.h>

#include "session.h"

namespace imasnap {
namespace {

using Notes = std::vector<std::string>;

Status RemoveLeftovers(const Environment& env, Session* session, Notes* notes) {
  for (const std::string& path : session->temporaries) {
    IMASNAP_RETURN_IF_ERROR(env.fs.Unlink(path));
    notes->push_back(fmt::format("removed {}, left by a snapshot that was interrupted", path));
  }
  session->temporaries.clear();
  // In ascending order, so that none comes back to life when the segment that
  // superseded it is itself superseded.
  for (const Segment& segment : session->superseded) {
    IMASNAP_RETURN_IF_ERROR(env.store().RemoveSegment(*session, segment));
    notes->push_back(fmt::format("removed segment {}, whose records a later segment holds",
                                 SegmentName(segment.number)));
  }
  session->superseded.clear();
  return {};
}

Result<LiveHead> ReadHead(const Environment& env, const std::optional<SegmentKey>& key) {
  const KernelLog kernel = env.kernel();
  IMASNAP_ASSIGN(const std::unique_ptr<File> live, kernel.OpenLive());
  return CompareWithLive(*live, kernel.live_path(), key);
}

// Whether `later` begins with all records of `earlier`, which was stored, but
// not purged, when `later` was taken.
Result<bool> Holds(FileSystem& fs, const Segment& later, const Segment& earlier) {
  if (!earlier.info) {
    return false;
  }
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, fs.OpenFile(later.path, OpenMode::kRead));
  IMASNAP_ASSIGN(const LiveHead head, CompareWithLive(*file, later.path, KeyOf(*earlier.info)));
  return head.start == LiveStart::kContainsSegment;
}

// A segment whose metadata did not get written: the kernel's list says which
// aggregate closed it, its own records whether it supersedes the one before.
Status Adopt(const Environment& env, const LiveHead& head, Session* session, Notes* notes) {
  Segment& segment = session->segments.back();
  IMASNAP_ASSIGN(SegmentInfo info, DescribeSegment(env.fs, segment));
  info.attempt = head.closing->attempt;
  info.banks = head.closing->banks;
  info.last_record = head.closing->record_count;
  info.first_record = info.last_record - info.records + 1;
  info.taken = env.now();
  info.kernel = env.kernel_release;
  const size_t count = session->segments.size();
  if (count > 1) {
    const Segment& before = session->segments[count - 2];
    IMASNAP_ASSIGN(const bool holds, Holds(env.fs, segment, before));
    if (holds) {
      info.supersedes = before.number;
    }
  }
  IMASNAP_RETURN_IF_ERROR(env.store().WriteSegmentInfo(*session, info));
  segment.info = info;
  segment.info_error.reset();
  notes->push_back(
      fmt::format("wrote the metadata of segment {} anew", SegmentName(segment.number)));
  if (info.supersedes) {
    IMASNAP_RETURN_IF_ERROR(env.store().RemoveSegment(*session, session->segments[count - 2]));
    notes->push_back(fmt::format("removed segment {}, whose records segment {} holds",
                                 SegmentName(*info.supersedes), SegmentName(info.number)));
    session->segments.erase(session->segments.end() - 2);
  }
  return {};
}

SessionInfo DescribeSession(const Environment& env, uint64_t id,
                            std::optional<uint32_t> reset_count) {
  return {.id = id,
          .created = env.now(),
          .kernel = env.kernel_release,
          .reset_count = reset_count,
          .machine = env.identity.machine,
          .boot = env.identity.boot};
}

Result<Session> NewSession(const Environment& env, uint64_t id, std::optional<uint32_t> reset_count,
                           Notes* notes) {
  const SessionInfo info = DescribeSession(env, id, reset_count);
  IMASNAP_ASSIGN(Session session, env.store().CreateSession(info));
  IMASNAP_ASSIGN(const std::vector<Error> failed, RemoveOldSessions(env, notes));
  static_cast<void>(failed);  // noted, and tried again by the next
  return session;
}

}  // namespace

Result<std::vector<Error>> RemoveOldSessions(const Environment& env, Notes* notes) {
  const Store store = env.store();
  IMASNAP_ASSIGN(const std::vector<uint64_t> ids, store.Sessions());
  std::vector<Error> failed;
  const uint64_t keep = env.config.keep_boots;
  for (size_t i = 0; ids.size() - i > keep; ++i) {
    const Status removed = store.RemoveSession(ids[i]);
    if (removed.ok()) {
      notes->push_back(fmt::format("removed session {} of an earlier boot", SegmentName(ids[i])));
    } else {
      notes->push_back(fmt::format("session {} of an earlier boot was not removed: {}",
                                   SegmentName(ids[i]), removed.error().ToString()));
      failed.push_back(removed.error());
    }
  }
  return failed;
}

Result<Recovered> Recover(const Environment& env, Notes* notes) {
  const Store store = env.store();
  const std::optional<uint32_t> reset_count = env.reset_count();
  IMASNAP_ASSIGN(std::optional<Session> newest, store.LoadNewest());
  if (!newest) {
    IMASNAP_ASSIGN(Session session, NewSession(env, 1, reset_count, notes));
    return Recovered{std::move(session), std::nullopt};
  }
  Session& session = *newest;
  IMASNAP_RETURN_IF_ERROR(RemoveLeftovers(env, &session, notes));
  IMASNAP_ASSIGN(const std::optional<SegmentKey> key, LastKey(env.fs, session));
  IMASNAP_ASSIGN(const LiveHead head, ReadHead(env, key));
  const SessionMatch match =
      MatchSession(session.info ? session.info->reset_count : std::nullopt, reset_count,
                   !session.segments.empty(), key ? key->attempt : std::nullopt, head);
  if (match == SessionMatch::kOtherBoot && (session.info || !session.segments.empty())) {
    notes->push_back(fmt::format("session {} is of an earlier boot; session {} begins",
                                 SegmentName(session.id), SegmentName(session.id + 1)));
    IMASNAP_ASSIGN(Session fresh, NewSession(env, session.id + 1, reset_count, notes));
    return Recovered{std::move(fresh), std::nullopt};
  }
  if (!session.info || (reset_count && session.info->reset_count != reset_count)) {
    SessionInfo info = session.info.value_or(DescribeSession(env, session.id, reset_count));
    info.reset_count = reset_count;
    IMASNAP_RETURN_IF_ERROR(store.WriteSession(session, info));
    session.info = info;
  }
  IMASNAP_RETURN_IF_ERROR(store.PointCurrentTo(session.id));
  Recovered out;
  if (!session.segments.empty()) {
    if (head.closing && !session.segments.back().info) {
      IMASNAP_RETURN_IF_ERROR(Adopt(env, head, &session, notes));
    }
    Segment& last = session.segments.back();
    if (match == SessionMatch::kSameGap) {
      notes->push_back(
          fmt::format("the kernel's list does not go on from segment {}: it begins with {}; "
                      "records between them are not in the store",
                      SegmentName(last.number), head.empty ? "nothing" : head.first_event));
    } else if (head.start == LiveStart::kContainsSegment) {
      out.to_supersede = last.number;
      notes->push_back(
          fmt::format("segment {} was stored but not purged; the next one holds its "
                      "records too and takes its place",
                      SegmentName(last.number)));
    } else if (last.info && last.info->state != SegmentState::kPurged) {
      last.info->state = SegmentState::kPurged;
      IMASNAP_RETURN_IF_ERROR(store.WriteSegmentInfo(session, *last.info));
      notes->push_back(fmt::format("segment {} was purged, though that was not seen to succeed",
                                   SegmentName(last.number)));
    }
  }
  out.session = std::move(session);
  return out;
}

}  // namespace imasnap
