// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot/snapshot_source.h"

#include <fmt/format.h>

#include <cerrno>

#include "log/log_reader.h"
#include "store/continuity.h"

namespace imasnap {

Result<std::unique_ptr<File>> OpenSnapshotFile(const KernelFiles& kernel) {
  auto file = kernel.fs().OpenFile(kernel.snapshot_path(), OpenMode::kReadWrite);
  if (!file.ok() && file.error().errno_value == EBUSY) {
    file.error().cause = Cause::kBusy;
    file.error().message +=
        ": another program has it open, or a measurement list for writing; or records are staged "
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
      return FileError(ErrorCode::kMismatch, Cause::kAggregateMissing, kernel_.live_path(),
                       "ends before the aggregate of this snapshot");
    }
    if (record->offset < segment.bytes) {
      hasher.Update(record->raw);
      continue;
    }
    const Digest head = hasher.Finish();
    if (record->offset != segment.bytes || !(head == segment.sha256)) {
      return FileError(ErrorCode::kMismatch, Cause::kListChanged, kernel_.live_path(),
                       "does not begin with the bytes of the snapshot file");
    }
    if (!IsAggregate(*record)) {
      Error error = FileError(ErrorCode::kMismatch, Cause::kAggregateMissing, kernel_.live_path(),
                              fmt::format("is {}, but {} should be here",
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
          ErrorCode::kMismatch, Cause::kSegmentHash, kernel_.live_path(),
          fmt::format("Segment_Hash of attempt {} is {}, but the bytes that were read have {}",
                      aggregate->attempt, aggregate->segment_hash.Hex(), segment.sha256.Hex()));
      error.record = record->number;
      error.offset = record->offset;
      error.expected = aggregate->segment_hash.Hex();
      error.found = segment.sha256.Hex();
      return error;
    }
    if (aggregate->record_count < segment.records) {
      Error error =
          FileError(ErrorCode::kMismatch, Cause::kRecordCount, kernel_.live_path(),
                    fmt::format("Record_Count of attempt {} is {}, but the segment alone has {}",
                                aggregate->attempt, aggregate->record_count, segment.records));
      error.expected = std::to_string(aggregate->record_count);
      error.found = std::to_string(segment.records);
      return error;
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

Status SnapshotSource::Purge(const SegmentInfo& segment, Notes* notes) {
  const Status wrote = file_->WriteAll(AsBytes("1"));
  if (wrote.ok()) {
    return {};
  }
  // The write may have failed after the records were purged: the list shows it.
  const auto purged = [&]() -> Result<bool> {
    IMASNAP_ASSIGN(const std::unique_ptr<File> live, kernel_.OpenLive());
    IMASNAP_ASSIGN(const ListHead head, ReadHead(*live, kernel_.live_path(), KeyOf(segment)));
    return head.place == SegmentPlace::kBefore;
  };
  const auto gone = purged();
  if (gone.ok() && *gone) {
    notes->push_back({NoteKind::kPurgedDespiteError, segment.number,
                      fmt::format("the purge succeeded although write() returned: {}",
                                  wrote.error().ToString())});
    return {};
  }
  Error error = wrote.error();
  error.cause = Cause::kNotPurged;
  error.segment = segment.number;
  error.message += fmt::format("; segment {} is stored, but its records are still in the kernel",
                               SegmentName(segment.number));
  return error;
}

}  // namespace imasnap
