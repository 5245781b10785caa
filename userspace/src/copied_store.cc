// SPDX-License-Identifier: GPL-2.0-or-later
#include "copied_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "stitch.h"

namespace imasnap {
namespace {

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
  const Store store(fs, directory);
  IMASNAP_ASSIGN(const std::vector<uint64_t> ids, store.Sessions());
  if (id && std::ranges::find(ids, *id) == ids.end()) {
    return FileError(ErrorCode::kUsage, directory, fmt::format("has no session {}", *id));
  }
  if (ids.empty()) {
    return FileError(ErrorCode::kCannotCheck, directory, "has no session");
  }
  return store.Load(id.value_or(ids.back()));
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
    view.live_path = *live;
    const auto open = [&fs, &live] { return fs.OpenFile(*live, OpenMode::kRead); };
    IMASNAP_ASSIGN(const std::optional<SegmentKey> key, LastKey(fs, *view.session));
    IMASNAP_ASSIGN(const std::unique_ptr<File> file, open());
    IMASNAP_ASSIGN(const LiveHead head, CompareWithLive(*file, *live, key));
    IMASNAP_RETURN_IF_ERROR(LeaveOutUnpurged(open, head.start, &view.segments));
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
