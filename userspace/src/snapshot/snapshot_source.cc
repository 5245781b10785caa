// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot/snapshot_source.h"

#include <fmt/format.h>

#include <cerrno>

#include "log/log_reader.h"
#include "store/continuity.h"

namespace imasnap {

Result<std::unique_ptr<File>> OpenSnapshotFile(const KernelLog& kernel) {
  auto file = kernel.fs().OpenFile(kernel.snapshot_path(), OpenMode::kReadWrite);
  if (!file.ok() && file.error().errno_value == EBUSY) {
    file.error().message +=
        ": another program has it open, or a measurement list for writing, or records are staged "
        "('ima-snapshot take' stores those)";
  }
  return file;
}

Result<bool> SnapshotSource::Open() {
  IMASNAP_ASSIGN(file_, OpenSnapshotFile(kernel_));
  return true;
}

// The record after the segment's bytes in the kernel's list.
Result<Aggregate> SnapshotSource::FindAggregate(const SegmentInfo& segment) const {
  IMASNAP_ASSIGN(const std::unique_ptr<File> live, kernel_.OpenLive());
  LogReader reader(*live, {}, kernel_.live_path(), LogReader::Check::kFraming);
  Hasher hasher(HashAlg::kSha256);
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      return FileError(ErrorCode::kMismatch, kernel_.live_path(),
                       "ends before the aggregate of this snapshot");
    }
    if (record->offset < segment.bytes) {
      hasher.Update(record->raw);
      continue;
    }
    const Digest head = hasher.Finish();
    if (record->offset != segment.bytes || !(head == segment.sha256)) {
      return FileError(ErrorCode::kMismatch, kernel_.live_path(),
                       "does not begin with the bytes of the snapshot file");
    }
    if (!IsAggregate(*record)) {
      Error error = FileError(ErrorCode::kMismatch, kernel_.live_path(),
                              fmt::format("is {} where {} should be",
                                          Printable(record->event_name()), kAggregateEvent));
      error.record = record->number;
      error.offset = record->offset;
      return error;
    }
    auto aggregate = AggregateFromRecord(*record);
    if (!aggregate.ok()) {
      aggregate.error().file = kernel_.live_path();
      aggregate.error().code = ErrorCode::kMismatch;
      return aggregate;
    }
    if (!(aggregate->segment_hash == segment.sha256)) {
      Error error = FileError(
          ErrorCode::kMismatch, kernel_.live_path(),
          fmt::format("Segment_Hash of attempt {} is {}, the bytes read have {}",
                      aggregate->attempt, aggregate->segment_hash.Hex(), segment.sha256.Hex()));
      error.record = record->number;
      error.offset = record->offset;
      return error;
    }
    if (aggregate->record_count < segment.records) {
      return FileError(ErrorCode::kMismatch, kernel_.live_path(),
                       fmt::format("Record_Count of attempt {} is {}, the segment alone has {}",
                                   aggregate->attempt, aggregate->record_count, segment.records));
    }
    return aggregate;
  }
}

Status SnapshotSource::Complete(SegmentInfo* segment) {
  IMASNAP_ASSIGN(const Aggregate aggregate, FindAggregate(*segment));
  segment->attempt = aggregate.attempt;
  segment->banks = aggregate.banks;
  segment->last_record = aggregate.record_count;
  segment->first_record = aggregate.record_count - segment->records + 1;
  return {};
}

Status SnapshotSource::Purge(const SegmentInfo& segment, std::vector<std::string>* notes) {
  const Status wrote = file_->WriteAll(AsBytes("1"));
  if (wrote.ok()) {
    return {};
  }
  // Interrupted, or failed after the records had gone: the list knows.
  const auto purged = [&]() -> Result<bool> {
    IMASNAP_ASSIGN(const std::unique_ptr<File> live, kernel_.OpenLive());
    IMASNAP_ASSIGN(const ListHead head, ReadHead(*live, kernel_.live_path(), KeyOf(segment)));
    return head.place == SegmentPlace::kBefore;
  };
  const auto gone = purged();
  if (gone.ok() && *gone) {
    notes->push_back(
        fmt::format("the kernel purged, though writing answered: {}", wrote.error().ToString()));
    return {};
  }
  Error error = wrote.error();
  error.message += fmt::format("; segment {} is stored, its records stay in the kernel",
                               SegmentName(segment.number));
  return error;
}

}  // namespace imasnap
