// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/copied_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/log_parts.h"

namespace imasnap {
namespace {

// A link could lead to any directory of this machine.
Status CheckDirectory(FileSystem& fs, const std::string& path) {
  IMASNAP_ASSIGN(const FileInfo info, fs.Stat(path));
  if (info.type != FileType::kDirectory) {
    return FileError(ErrorCode::kMismatch, path, "is not a directory");
  }
  return {};
}

Result<Session> FindSession(FileSystem& fs, const std::string& directory,
                            std::optional<uint64_t> id) {
  IMASNAP_ASSIGN(const bool is_store, fs.Exists(directory + "/boots"));
  if (!is_store) {
    if (id) {
      return FileError(ErrorCode::kUsage, directory,
                       "--session needs the directory of a store, with boots in it");
    }
    return LoadSession(fs, directory);
  }
  IMASNAP_RETURN_IF_ERROR(CheckDirectory(fs, directory + "/boots"));
  const Store store(fs, directory);
  IMASNAP_ASSIGN(const std::vector<uint64_t> ids, store.Sessions());
  if (id && std::ranges::find(ids, *id) == ids.end()) {
    return FileError(ErrorCode::kUsage, directory, fmt::format("has no session {}", *id));
  }
  if (ids.empty()) {
    return FileError(ErrorCode::kCannotCheck, directory, "has no session");
  }
  const uint64_t chosen = id.value_or(ids.back());
  IMASNAP_RETURN_IF_ERROR(CheckDirectory(fs, store.SessionDirectory(chosen)));
  return store.Load(chosen);
}

// What the list says of a segment. A damaged one says nothing: verification finds
// where it is.
Result<LiveHead> HeadOf(FileSystem& fs, const std::string& live,
                        const std::optional<SegmentKey>& key) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, fs.OpenFile(live, OpenMode::kRead));
  auto head = CompareWithLive(*file, live, key);
  if (!head.ok() && head.error().code == ErrorCode::kMalformed) {
    LiveHead damaged;
    damaged.empty = false;
    return damaged;
  }
  return head;
}

// The bytes of one that staging took and the kernel deleted can come again.
bool MayBeUnpurged(const Segment& segment) {
  return !segment.info || segment.info->attempt != kNoAttempt ||
         segment.info->state == SegmentState::kStored;
}

// Takes away the last segment if the list still holds its records, of which `start`
// tells, and with it the one that it supersedes, where only its metadata, which is
// lost, would have named that.
Status LeaveOutUnpurged(FileSystem& fs, const std::string& live, LiveStart start,
                        std::vector<Segment>* segments) {
  if (start != LiveStart::kContainsSegment || !MayBeUnpurged(segments->back())) {
    return {};
  }
  const bool described = segments->back().info.has_value();
  segments->pop_back();
  if (described || segments->empty() || !segments->back().info ||
      !MayBeUnpurged(segments->back())) {
    return {};
  }
  IMASNAP_ASSIGN(const LiveHead before, HeadOf(fs, live, KeyOf(*segments->back().info)));
  if (before.start == LiveStart::kContainsSegment) {
    segments->pop_back();
  }
  return {};
}

// Brings `view` to what comes before the list `live`.
Status MeetLive(FileSystem& fs, const std::string& live, LogView* view) {
  IMASNAP_ASSIGN(const FileInfo info, fs.Stat(live));
  if (info.type != FileType::kRegular) {
    return FileError(ErrorCode::kCannotCheck, live, "is not a regular file");
  }
  view->live_path = live;
  IMASNAP_ASSIGN(const std::optional<SegmentKey> key, LastKey(fs, *view->session));
  IMASNAP_ASSIGN(const LiveHead head, HeadOf(fs, live, key));
  const uint64_t attempt = key ? key->attempt.value_or(kNoAttempt) : kNoAttempt;
  if (head.empty && attempt != kNoAttempt) {
    return FileError(ErrorCode::kCannotCheck, live,
                     fmt::format("is empty: the aggregate of attempt {}, which closed segment {}, "
                                 "must be its first record",
                                 attempt, SegmentName(view->segments.back().number)));
  }
  return LeaveOutUnpurged(fs, live, head.start, &view->segments);
}

}  // namespace

Result<CopiedLog> OpenCopiedLog(FileSystem& fs, const std::string& directory,
                                std::optional<uint64_t> session,
                                const std::optional<std::string>& live) {
  LogView view;
  IMASNAP_ASSIGN(view.session, FindSession(fs, directory, session));
  view.segments = view.session->segments;
  if (view.segments.empty() && !live) {
    return FileError(ErrorCode::kCannotCheck, view.session->directory,
                     "has no segment: it is neither a store nor the directory of a session");
  }
  CopiedLog log;
  if (live) {
    IMASNAP_RETURN_IF_ERROR(MeetLive(fs, *live, &view));
  }
  log.parts = PartsOf({.fs = fs}, view);
  if (!live) {
    log.parts.pop_back();
  }
  if (view.session->info) {
    log.identity = IdentityOf(*view.session->info);
  }
  return log;
}

}  // namespace imasnap
