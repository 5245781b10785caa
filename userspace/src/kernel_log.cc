// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_log.h"

#include <fmt/format.h>

#include <cerrno>

namespace imasnap {
namespace {

// The record's aggregate, if it closes the segment.
std::optional<Aggregate> Closing(const Record& record, const SegmentKey& segment) {
  if (!IsAggregate(record)) {
    return std::nullopt;
  }
  auto aggregate = AggregateFromRecord(record);
  if (!aggregate.ok() || aggregate->attempt != segment.attempt.value_or(aggregate->attempt) ||
      !(aggregate->segment_hash == segment.sha256)) {
    return std::nullopt;
  }
  return *aggregate;
}

}  // namespace

KernelLog::KernelLog(FileSystem& fs, const std::string& securityfs)
    : fs_(fs), directory_(securityfs + "/ima") {}

Result<BackendChoice> KernelLog::ChooseBackend() const {
  IMASNAP_ASSIGN(const bool ima, fs_.Exists(directory_));
  if (!ima) {
    return BackendChoice{Backend::kNone,
                         fmt::format("{} does not exist: IMA is not built in, or securityfs is "
                                     "not mounted",
                                     directory_)};
  }
  IMASNAP_ASSIGN(const bool snapshot, fs_.Exists(snapshot_path()));
  if (snapshot) {
    return BackendChoice{Backend::kSnapshot, fmt::format("{} exists", snapshot_path())};
  }
  IMASNAP_ASSIGN(const bool staging, fs_.Exists(live_path() + "_staged"));
  if (staging) {
    return BackendChoice{Backend::kStaging,
                         fmt::format("{} does not exist (the kernel has no CONFIG_IMA_SNAPSHOT); "
                                     "it offers staging, which this version does not use",
                                     snapshot_path())};
  }
  return BackendChoice{
      Backend::kNone,
      fmt::format("{} does not exist: the kernel has no CONFIG_IMA_SNAPSHOT", snapshot_path())};
}

Result<std::optional<uint64_t>> KernelLog::Counter(const std::string& name) const {
  const std::string path = directory_ + "/" + name;
  auto text = fs_.ReadFile(path, 64);
  if (!text.ok()) {
    if (text.error().errno_value == ENOENT) {
      return std::optional<uint64_t>();
    }
    return std::move(text.error());
  }
  if (text->ends_with('\n')) {
    text->pop_back();
  }
  const auto value = ParseDecimal(*text);
  if (!value) {
    return FileError(ErrorCode::kMalformed, path, "does not hold a number");
  }
  return value;
}

Result<std::unique_ptr<File>> KernelLog::OpenLive() const {
  return fs_.OpenFile(live_path(), OpenMode::kRead);
}

Result<LiveHead> CompareWithLive(ByteSource& live, const std::string& live_name,
                                 const std::optional<SegmentKey>& last) {
  LiveHead head;
  LogReader reader(live, {}, live_name, LogReader::Check::kFraming);
  IMASNAP_ASSIGN(const Record* record, reader.Next());
  if (record == nullptr) {
    return head;
  }
  head.empty = false;
  head.first_event = record->event_name();
  if (IsAggregate(*record)) {
    auto aggregate = AggregateFromRecord(*record);
    if (aggregate.ok()) {
      head.first_aggregate = *aggregate;
    }
  }
  if (!last) {
    return head;
  }
  head.closing = Closing(*record, *last);
  if (head.closing) {
    head.start = LiveStart::kAfterSegment;
    return head;
  }
  IMASNAP_ASSIGN(Hasher hasher, Hasher::Create(HashAlg::kSha256));
  while (reader.bytes() <= last->bytes) {
    hasher.Update(record->raw);
    if (reader.bytes() == last->bytes) {
      IMASNAP_ASSIGN(const Digest digest, hasher.Finish());
      if (!(digest == last->sha256)) {
        return head;
      }
      IMASNAP_ASSIGN(record, reader.Next());
      if (record != nullptr) {
        head.closing = Closing(*record, *last);
      }
      if (head.closing) {
        head.start = LiveStart::kContainsSegment;
      }
      return head;
    }
    IMASNAP_ASSIGN(record, reader.Next());
    if (record == nullptr) {
      return head;
    }
  }
  return head;
}

}  // namespace imasnap
