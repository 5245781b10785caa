// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

namespace imasnap {
namespace {

constexpr size_t kNumberDigits = 8;
constexpr std::string_view kRemoved = ".removed";

// "00000012<suffix>" to 12.
std::optional<uint64_t> NumberFromName(std::string_view name, std::string_view suffix) {
  if (name.size() < kNumberDigits + suffix.size() || !name.ends_with(suffix)) {
    return std::nullopt;
  }
  name.remove_suffix(suffix.size());
  if (name.size() > kNumberDigits && name[0] == '0') {
    return std::nullopt;
  }
  const auto number = ParsePaddedDecimal(name);
  return number == 0 ? std::nullopt : number;
}

}  // namespace

std::string SegmentName(uint64_t number) { return fmt::format("{:08}", number); }

uint64_t Session::NextNumber() const {
  uint64_t last = segments.empty() ? 0 : segments.back().number;
  if (!superseded.empty()) {
    last = std::max(last, superseded.back().number);
  }
  return last + 1;
}

std::string Session::NextListPath() const {
  return fmt::format("{}/{}.list", directory, SegmentName(NextNumber()));
}

std::string Store::SessionDirectory(uint64_t id) const {
  return fmt::format("{}/boots/{}", root_, SegmentName(id));
}

Result<std::vector<uint64_t>> Store::Sessions() const {
  std::vector<uint64_t> ids;
  auto names = fs_.List(root_ + "/boots");
  if (!names.ok()) {
    if (names.error().errno_value == ENOENT) {
      return ids;
    }
    return std::move(names.error());
  }
  for (const std::string& name : *names) {
    if (const auto id = NumberFromName(name, "")) {
      ids.push_back(*id);
    }
  }
  std::ranges::sort(ids);  // with more than eight digits, names are in another order
  return ids;
}

Result<Session> LoadSession(FileSystem& fs, const std::string& directory) {
  Session session;
  session.directory = directory;
  IMASNAP_ASSIGN(const std::vector<std::string> names, fs.List(session.directory));
  std::map<uint64_t, Segment> found;
  const auto segment_at = [&](uint64_t number) -> Segment& {
    Segment& segment = found[number];
    segment.number = number;
    segment.path = fmt::format("{}/{}.ima", session.directory, SegmentName(number));
    segment.info_path = fmt::format("{}/{}.json", session.directory, SegmentName(number));
    return segment;
  };
  for (const std::string& name : names) {
    const std::string path = session.directory + "/" + name;
    const bool is_read = name == "session.json" || NumberFromName(name, ".ima") ||
                         NumberFromName(name, ".json") || NumberFromName(name, ".list");
    if (is_read) {
      IMASNAP_ASSIGN(const FileInfo info, fs.Stat(path));
      if (info.type != FileType::kRegular) {
        return FileError(ErrorCode::kMismatch, Cause::kNotRegularFile, path,
                         "is not a regular file");
      }
    }
    if (name.ends_with(".tmp")) {
      session.temporaries.push_back(path);
    } else if (name.find(".rejected") != std::string::npos) {
      session.rejected.push_back(path);
    } else if (name == "session.json") {
      IMASNAP_ASSIGN(const std::string text, fs.ReadFile(path, kMaxMetadata));
      IMASNAP_ASSIGN(session.info, ParseSession(text, path));
    } else if (const auto data = NumberFromName(name, ".ima")) {
      segment_at(*data).has_data = true;
    } else if (const auto number = NumberFromName(name, ".json")) {
      Segment& segment = segment_at(*number);
      const auto text = fs.ReadFile(path, kMaxMetadata);
      if (!text.ok() && text.error().code != ErrorCode::kMalformed) {
        return text.error();
      }
      auto info = text.ok() ? ParseSegment(*text, path) : text.error();
      if (!info.ok()) {
        segment.info_error = info.error();
      } else if (info->number != *number) {
        segment.info_error =
            FileError(ErrorCode::kMismatch, Cause::kMetadata, path,
                      fmt::format("describes segment {}", SegmentName(info->number)));
      } else {
        segment.info = *info;
      }
    }
  }
  std::set<uint64_t> superseded;
  for (const auto& [number, segment] : found) {
    // Only a complete segment, with its bytes and its metadata, supersedes another.
    if (segment.has_data && segment.info && segment.info->supersedes) {
      superseded.insert(*segment.info->supersedes);
    }
  }
  for (auto& [number, segment] : found) {
    (superseded.contains(number) ? session.superseded : session.segments)
        .push_back(std::move(segment));
  }
  const std::string list = session.NextListPath();
  if (std::ranges::find(names, list.substr(directory.size() + 1)) != names.end()) {
    session.final_list = list;
  }
  return session;
}

Result<Session> Store::Load(uint64_t id) const {
  IMASNAP_ASSIGN(Session session, LoadSession(fs_, SessionDirectory(id)));
  session.id = id;
  return session;
}

Result<std::optional<Session>> Store::LoadNewest() const {
  IMASNAP_ASSIGN(const std::vector<uint64_t> ids, Sessions());
  if (ids.empty()) {
    return std::optional<Session>();
  }
  IMASNAP_ASSIGN(Session session, Load(ids.back()));
  return std::optional<Session>(std::move(session));
}

// Syncs every directory above the sessions, because what created them may not have
// synced them: mkdir(1) does not.
Status Store::SyncParents() const {
  std::string directory = root_ + "/boots";
  while (true) {
    Status synced = fs_.SyncDirectory(directory);
    // Above the store there may be file systems that cannot be synced, and directories
    // of other users.
    const bool above = directory.size() < root_.size();
    const int error = synced.ok() ? 0 : synced.error().errno_value;
    if (!synced.ok() && !(above && (error == EINVAL || error == EACCES))) {
      return synced;
    }
    std::string parent = ParentDirectory(directory);
    if (parent == directory) {
      return {};
    }
    directory = std::move(parent);
  }
}

Status Store::SyncSession(const Session& session) const {
  // Segments are only stored in a durable session.
  if (session.segments.empty()) {
    IMASNAP_RETURN_IF_ERROR(SyncParents());
  }
  return fs_.SyncDirectory(session.directory);
}

Result<Session> Store::CreateSession(const SessionInfo& info) const {
  Session session;
  session.id = info.id;
  session.directory = SessionDirectory(info.id);
  IMASNAP_RETURN_IF_ERROR(fs_.MakeDirectories(session.directory));
  IMASNAP_RETURN_IF_ERROR(SyncParents());
  IMASNAP_RETURN_IF_ERROR(WriteSession(session, info));
  IMASNAP_RETURN_IF_ERROR(PointCurrentTo(info.id));
  return Load(info.id);
}

Status Store::PointCurrentTo(uint64_t id) const {
  const std::string target = "boots/" + SegmentName(id);
  const std::string link = root_ + "/current";
  const auto now = fs_.ReadLink(link);
  if (now.ok() && *now == target) {
    return {};
  }
  const std::string temporary = link + ".tmp";
  IMASNAP_ASSIGN(const bool stale, fs_.Exists(temporary));
  if (stale) {
    IMASNAP_RETURN_IF_ERROR(fs_.Unlink(temporary));
  }
  IMASNAP_RETURN_IF_ERROR(fs_.Symlink(target, temporary));
  IMASNAP_RETURN_IF_ERROR(fs_.Rename(temporary, link));
  return fs_.SyncDirectory(root_);
}

Status Store::WriteSession(const Session& session, const SessionInfo& info) const {
  return fs_.WriteDurably(session.directory + "/session.json", FormatSession(info));
}

Status Store::WriteSegmentInfo(const Session& session, const SegmentInfo& info) const {
  return fs_.WriteDurably(fmt::format("{}/{}.json", session.directory, SegmentName(info.number)),
                          FormatSegment(info));
}

Status Store::RemoveSegment(const Session& session, const Segment& segment) const {
  // The data is removed first: metadata alone says what is gone, but data alone would
  // look like a segment whose metadata was not written yet.
  if (segment.has_data) {
    IMASNAP_RETURN_IF_ERROR(fs_.Unlink(segment.path));
    IMASNAP_RETURN_IF_ERROR(fs_.SyncDirectory(session.directory));
  }
  if (segment.info || segment.info_error) {
    IMASNAP_RETURN_IF_ERROR(fs_.Unlink(segment.info_path));
    IMASNAP_RETURN_IF_ERROR(fs_.SyncDirectory(session.directory));
  }
  return {};
}

Status Store::RemoveDirectoryWhole(const std::string& directory) const {
  IMASNAP_ASSIGN(const std::vector<std::string> names, fs_.List(directory));
  for (const std::string& name : names) {
    IMASNAP_RETURN_IF_ERROR(fs_.Unlink(directory + "/" + name));
  }
  IMASNAP_RETURN_IF_ERROR(fs_.RemoveDirectory(directory));
  return fs_.SyncDirectory(root_ + "/boots");
}

Status Store::RemoveSession(uint64_t id) const {
  const std::string directory = SessionDirectory(id);
  const std::string removed = directory + std::string(kRemoved);
  IMASNAP_RETURN_IF_ERROR(fs_.Rename(directory, removed));
  IMASNAP_RETURN_IF_ERROR(fs_.SyncDirectory(root_ + "/boots"));
  return RemoveDirectoryWhole(removed);
}

Result<std::vector<std::string>> Store::FinishRemovals() const {
  std::vector<std::string> removed;
  auto names = fs_.List(root_ + "/boots");
  if (!names.ok()) {
    if (names.error().errno_value == ENOENT) {
      return removed;  // no store yet
    }
    return std::move(names.error());
  }
  for (const std::string& name : *names) {
    if (NumberFromName(name, kRemoved)) {
      IMASNAP_RETURN_IF_ERROR(RemoveDirectoryWhole(root_ + "/boots/" + name));
      removed.push_back(name);
    }
  }
  return removed;
}

Result<uint64_t> Store::Size(const Session& session) const {
  uint64_t bytes = 0;
  for (const Segment& segment : session.segments) {
    if (segment.has_data) {
      IMASNAP_ASSIGN(const FileInfo info, fs_.Stat(segment.path));
      bytes += info.size;
    }
  }
  return bytes;
}

Result<SegmentInfo> DescribeSegment(FileSystem& fs, const Segment& segment) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, fs.OpenFile(segment.path, OpenMode::kRead));
  LogReader reader(*file, {}, segment.path, LogReader::Check::kFraming);
  Hasher hasher(HashAlg::kSha256);
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      break;
    }
    hasher.Update(record->raw);
  }
  SegmentInfo info;
  info.number = segment.number;
  info.records = reader.records();
  info.bytes = reader.bytes();
  info.sha256 = hasher.Finish();
  return info;
}

Result<uint64_t> RecordsBefore(FileSystem& fs, const Session& session,
                               std::optional<uint64_t> superseded) {
  uint64_t records = 0;
  for (const Segment& segment : session.segments) {
    if (segment.number == superseded) {
      break;
    }
    if (segment.info) {
      records = segment.info->last_record;
    } else if (segment.has_data) {
      auto info = DescribeSegment(fs, segment);
      if (!info.ok() && info.error().code != ErrorCode::kMalformed) {
        return std::move(info.error());
      }
      // Verification reports a malformed segment; counting continues without it.
      records += info.ok() ? info->records : 0;
    }
  }
  return records;
}

}  // namespace imasnap
