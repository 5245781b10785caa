// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/copied_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/continuity.h"
#include "store/log_parts.h"

namespace imasnap {
namespace {

// A link could point to any directory of this machine.
Status CheckDirectory(FileSystem& fs, const std::string& path) {
  IMASNAP_ASSIGN(const FileInfo info, fs.Stat(path));
  if (info.type != FileType::kDirectory) {
    return FileError(ErrorCode::kMismatch, Cause::kNotDirectory, path, "is not a directory");
  }
  return {};
}

Result<Session> FindSession(FileSystem& fs, const std::string& directory,
                            std::optional<uint64_t> id) {
  IMASNAP_ASSIGN(const bool is_store, fs.Exists(directory + "/boots"));
  if (!is_store) {
    if (id) {
      return FileError(ErrorCode::kUsage, directory,
                       "--session needs the directory of a store, which has a directory boots");
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
    return FileError(ErrorCode::kCannotCheck, Cause::kEmpty, directory, "has no session");
  }
  const uint64_t chosen = id.value_or(ids.back());
  IMASNAP_RETURN_IF_ERROR(CheckDirectory(fs, store.SessionDirectory(chosen)));
  return store.Load(chosen);
}

// Removes the segments that the list `live` contains. Verification finds out whether
// the two belong together.
Status MeetLive(FileSystem& fs, const std::string& live, BootLog* boot_log) {
  IMASNAP_ASSIGN(const FileInfo info, fs.Stat(live));
  if (info.type != FileType::kRegular) {
    return FileError(ErrorCode::kCannotCheck, Cause::kNotRegularFile, live,
                     "is not a regular file");
  }
  boot_log->live_path = live;
  bool empty = false;
  // A damaged list contains no segment; verification reports the damage.
  const auto find = [&](const std::optional<SegmentKey>& segment) -> Result<ListHead> {
    IMASNAP_ASSIGN(const std::unique_ptr<File> file, fs.OpenFile(live, OpenMode::kRead));
    auto head = ReadHead(*file, live, segment);
    empty = head.ok() && !head->first;
    const bool damaged = !head.ok() && head.error().code == ErrorCode::kMalformed;
    return damaged ? Result<ListHead>(ListHead()) : head;
  };
  IMASNAP_RETURN_IF_ERROR(LeaveOutContained(fs, {}, find, &boot_log->segments));
  const bool described = !boot_log->segments.empty() && boot_log->segments.back().info;
  const uint64_t attempt = described ? boot_log->segments.back().info->attempt : kNoAttempt;
  if (empty && attempt != kNoAttempt) {
    Error error = FileError(ErrorCode::kCannotCheck, Cause::kAggregateMissing, live,
                            fmt::format("is empty, but its first record must be the aggregate of "
                                        "attempt {}, which closed segment {}",
                                        attempt, SegmentName(boot_log->segments.back().number)));
    error.segment = boot_log->segments.back().number;
    error.expected = std::to_string(attempt);
    return error;
  }
  return {};
}

}  // namespace

Result<CopiedLog> OpenCopiedLog(FileSystem& fs, const std::string& directory,
                                std::optional<uint64_t> session,
                                const std::optional<std::string>& live) {
  BootLog boot_log;
  IMASNAP_ASSIGN(boot_log.session, FindSession(fs, directory, session));
  boot_log.segments = boot_log.session->segments;
  const std::optional<std::string> list = live ? live : boot_log.session->final_list;
  if (boot_log.segments.empty() && !list) {
    return FileError(ErrorCode::kCannotCheck, Cause::kSegmentMissing, boot_log.session->directory,
                     "has no segment: it is neither a store nor a session");
  }
  CopiedLog log;
  if (list) {
    IMASNAP_RETURN_IF_ERROR(MeetLive(fs, *list, &boot_log));
  }
  log.parts = PartsOf({.fs = fs}, boot_log);
  if (!list) {
    log.parts.pop_back();
  }
  if (boot_log.session->info) {
    log.identity = IdentityOf(*boot_log.session->info);
  }
  return log;
}

}  // namespace imasnap
