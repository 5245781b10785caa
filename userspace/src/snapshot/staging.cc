// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot/staging.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>

#include "log/log_reader.h"
#include "store/store.h"

namespace imasnap {
namespace {

Result<bool> IsEmpty(File& file) {
  IMASNAP_RETURN_IF_ERROR(file.Rewind());
  std::array<std::byte, 1> first;
  IMASNAP_ASSIGN(const size_t got, file.Read(first));
  return got == 0;
}

// Writes "D". If it fails but nothing is staged any more, the error is only noted: with
// ima_flush_htable the kernel can run out of memory after it took the list.
Status PurgeStaged(File& file, Notes* notes) {
  const Status wrote = file.WriteAll(AsBytes("D\n"));
  if (wrote.ok()) {
    return {};
  }
  const auto gone = IsEmpty(file);
  if (gone.ok() && *gone) {
    notes->push_back({NoteKind::kPurgedDespiteError, 0,
                      fmt::format("the staged records were deleted although write() returned: {}",
                                  wrote.error().ToString())});
    return {};
  }
  Error error = wrote.error();
  error.cause = Cause::kNotPurged;
  if (error.errno_value == ESTALE) {
    error.cause = Cause::kMeasuringSuspended;
    error.message += " (measuring is suspended for a reboot; a kexec keeps the records)";
  }
  return error;
}

}  // namespace

Result<bool> StagingSource::Open() {
  IMASNAP_ASSIGN(file_, kernel_.OpenForStaging());
  if (what_ == What::kLeft) {
    return true;
  }
  const Status staged = file_->WriteAll(AsBytes("A\n"));
  if (staged.ok() || staged.error().errno_value == EEXIST) {
    return true;
  }
  if (staged.error().errno_value == ENOENT) {
    IMASNAP_RETURN_IF_ERROR(file_->Close());
    return false;
  }
  Error error = staged.error();
  if (error.errno_value == EACCES) {
    error.cause = Cause::kMeasuringSuspended;
    error.message += " (measuring is suspended for a reboot)";
  }
  return error;
}

Status StagingSource::Complete(SegmentInfo* segment) {
  if (segment->records == 0) {
    return FileError(ErrorCode::kFailed, Cause::kStagedDeleted, kernel_.staged_path(),
                     "another program deleted the staged records before they could be read; "
                     "nothing is left to store");
  }
  segment->attempt = kNoAttempt;
  segment->first_record = before_ + 1;
  segment->last_record = before_ + segment->records;
  return {};
}

Status StagingSource::Purge(const SegmentInfo& segment, Notes* notes) {
  Status deleted = PurgeStaged(*file_, notes);
  if (!deleted.ok()) {
    deleted.error().segment = segment.number;
    deleted.error().message += fmt::format(
        "; segment {} is stored, but its records are still staged", SegmentName(segment.number));
  }
  return deleted;
}

Result<bool> PurgeStagedSegment(const KernelFiles& kernel, const SegmentKey& key, Notes* notes) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, kernel.OpenForStaging());
  IMASNAP_ASSIGN(const ListHead head, ReadHead(*file, kernel.staged_path(), key));
  if (head.place != SegmentPlace::kInList || !head.ends) {
    return false;
  }
  IMASNAP_RETURN_IF_ERROR(PurgeStaged(*file, notes));
  IMASNAP_RETURN_IF_ERROR(file->Close());
  return true;
}

Result<std::optional<ListSize>> StagedSize(const KernelFiles& kernel) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, kernel.OpenStaged());
  if (!file) {
    return std::optional<ListSize>();
  }
  LogReader reader(*file, {}, kernel.staged_path(), LogReader::Check::kFraming);
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      return std::optional<ListSize>({reader.records(), reader.bytes()});
    }
  }
}

}  // namespace imasnap
