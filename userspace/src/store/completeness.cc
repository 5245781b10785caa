// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/completeness.h"

#include <fmt/format.h>

#include "log/aggregate.h"
#include "store/store.h"

namespace imasnap {

Status CheckNotDiscarded(const std::vector<LogPart>& parts, uint64_t from) {
  const LogPart* last = nullptr;
  for (const LogPart& part : parts) {
    if (part.discarded && part.info->last_record >= from) {
      last = &part;
    }
  }
  if (last == nullptr) {
    return {};
  }
  Error error =
      FileError(ErrorCode::kCannotCheck, Cause::kSegmentDiscarded, last->path,
                fmt::format("segments up to {} (records 1 to {}) were discarded after they were "
                            "verified, as discard = \"verified\" in ima-snapshot.conf(5) allows; "
                            "records from {} on can be read, and verified with --state",
                            SegmentName(last->segment), last->info->last_record,
                            last->info->last_record + 1));
  error.segment = last->segment;
  return error;
}

Status CheckComplete(const std::vector<LogPart>& parts, uint64_t from) {
  IMASNAP_RETURN_IF_ERROR(CheckNotDiscarded(parts, from));
  for (const LogPart& part : parts) {
    if ((part.missing && !part.discarded) || part.missing_before) {
      const uint64_t missing = part.missing_before.value_or(part.segment);
      Error error = FileError(ErrorCode::kMismatch, Cause::kSegmentMissing, part.path,
                              fmt::format("segment {} is missing", SegmentName(missing)));
      error.segment = missing;
      return error;
    }
  }
  return {};
}

Error EmptyLog(const std::string& name) {
  return FileError(ErrorCode::kCannotCheck, Cause::kEmpty, name,
                   "has no record: each boot measures at least boot_aggregate");
}

Status CheckBeginning(const Record& first, const std::string& name) {
  if (IsBootAggregate(first)) {
    return {};
  }
  return FileError(
      ErrorCode::kMismatch, Cause::kBeginningMissing, name,
      fmt::format("the beginning of the log is missing: its first record is {}, not boot_aggregate",
                  Printable(first.event_name())));
}

}  // namespace imasnap
