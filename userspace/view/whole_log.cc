// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/whole_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "log/log_reader.h"
#include "store/completeness.h"
#include "store/log_parts.h"
#include "view/log_growth.h"

namespace imasnap {
namespace {

constexpr std::chrono::milliseconds kLockInterval{20};
constexpr std::chrono::milliseconds kOthersTurn{1};

// Whether waiting may help.
bool IsTransient(const Error& error) {
  return error.code == ErrorCode::kLocked || error.code == ErrorCode::kFailed;
}

// `name` is the file in which the log begins.
Status CheckFirstRecord(const LogIndex& index, const std::string& name) {
  if (index.end.records == 0) {
    return {};
  }
  IndexSource source(index, 0);
  LogReader reader(source, {}, name);
  IMASNAP_ASSIGN(const Record* const record, reader.Next());
  return CheckBeginning(*record, name);
}

}  // namespace

WholeLog::WholeLog(Environment env, std::chrono::milliseconds patience)
    : env_(std::move(env)), patience_(patience) {}

Result<std::unique_ptr<WholeLog>> WholeLog::Open(const Environment& env,
                                                 std::chrono::milliseconds patience) {
  std::unique_ptr<WholeLog> log(new WholeLog(env, patience));
  IMASNAP_ASSIGN(log->has_staging_, env.fs.Exists(env.kernel().staged_path()));
  Status read = log->RefreshNow();
  if (!read.ok()) {
    if (read.error().code == ErrorCode::kMalformed) {
      read.error().code = ErrorCode::kMismatch;  // damaged, one way or another
    }
    return std::move(read.error());
  }
  log->env_.on_progress = nullptr;
  return log;
}

std::shared_ptr<const LogIndex> WholeLog::index() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return index_;
}

Status WholeLog::Refresh() {
  if (broken_) {
    return *broken_;
  }
  Status status = RefreshNow();
  if (!status.ok() && !IsTransient(status.error())) {
    broken_ = status.error();
  }
  return status;
}

Status WholeLog::RefreshNow() {
  // Read before the list, so that the list has at least that many records.
  IMASNAP_ASSIGN(const std::optional<uint64_t> total,
                 env_.kernel().Counter("runtime_measurements_total"));
  // Compared with itself: it may have begun with the list that a kexec carried over.
  if (total && total == last_total_) {
    return {};
  }
  IMASNAP_ASSIGN(const bool followed, FollowKernel(total));
  if (!followed) {
    IMASNAP_RETURN_IF_ERROR(ReadAgainIfCut([&] { return ReadAll(total); }));
  }
  last_total_ = total;
  return {};
}

// A list with the same beginning continues what is known, so no lock is needed, and a
// running snapshot does not delay readers.
Result<bool> WholeLog::FollowKernel(std::optional<uint64_t> total) {
  if (!index_->unique_head) {
    return false;
  }
  LogPart live;
  live.path = env_.kernel().live_path();
  live.open = [this]() -> Result<std::unique_ptr<File>> {
    IMASNAP_ASSIGN(std::unique_ptr<File> list, env_.kernel().OpenLive());
    // While it is open, nothing can be staged.
    return has_staging_ ? Spool(env_.fs, *list) : std::move(list);
  };
  Growth growth(env_.fs, env_.on_progress, *index_);
  const Status added = growth.AddKernel({live});
  if (!added.ok()) {
    // In both cases a snapshot moved the list's beginning, and the store has the rest.
    if (added.error().code == ErrorCode::kMismatch || HasHole(added.error())) {
      return false;
    }
    return added.error();
  }
  IMASNAP_ASSIGN(LogIndex next, growth.Finish());
  if (total && *total > next.end.records) {
    return false;
  }
  IMASNAP_ASSIGN(const bool still, StillBegins(next));
  if (!still) {
    return false;
  }
  Publish(std::move(next));
  return true;
}

// Whether the kernel's list still begins as it does in `index`. If it does, no purge
// moved its beginning before it was read to its end.
Result<bool> WholeLog::StillBegins(const LogIndex& index) const {
  IMASNAP_ASSIGN(const std::unique_ptr<File> live, env_.kernel().OpenLive());
  LogReader reader(*live, {}, live->path(), LogReader::Check::kFraming);
  IMASNAP_ASSIGN(const Record* const record, reader.Next());
  if (record == nullptr || record->raw.size() > index.end.raw - index.kernel_begin) {
    return false;
  }
  Bytes known(record->raw.size());
  IMASNAP_RETURN_IF_ERROR(index.ReadRaw(index.kernel_begin, known));
  return std::ranges::equal(known, record->raw);
}

Result<BootLog> WholeLog::LockBootLog() {
  const auto end = std::chrono::steady_clock::now() + patience_;
  // Otherwise readers that ask all the time would block every snapshot.
  while (!impatient_ && std::chrono::steady_clock::now() < others_turn_) {
    std::this_thread::sleep_for(kOthersTurn);
  }
  while (true) {
    locked_at_ = std::chrono::steady_clock::now();
    auto boot_log = OpenBootLog(env_);
    if (boot_log.ok() || boot_log.error().code != ErrorCode::kLocked || impatient_ ||
        std::chrono::steady_clock::now() >= end) {
      return boot_log;
    }
    std::this_thread::sleep_for(kLockInterval);
  }
}

void WholeLog::Unlock(BootLog* boot_log) {
  if (boot_log->lock) {
    boot_log->lock.reset();
    const auto now = std::chrono::steady_clock::now();
    others_turn_ = now + (now - locked_at_);
  }
}

Status WholeLog::ReadAll(std::optional<uint64_t> total) {
  IMASNAP_ASSIGN(BootLog boot_log, LockBootLog());
  if (boot_log.gap) {
    return FileError(ErrorCode::kMismatch, Cause::kNotContinued, boot_log.live_path,
                     "does not continue the last stored segment: a program that ignores the lock "
                     "removed records");
  }
  std::vector<LogPart> parts = PartsOf(env_, boot_log);
  IMASNAP_RETURN_IF_ERROR(CheckComplete(parts));
  if (boot_log.has_staging) {  // then every refresh comes here and has a copy of the list
    parts.back().open = [&boot_log]() -> Result<std::unique_ptr<File>> {
      return std::move(boot_log.live);
    };
    Unlock(&boot_log);
  }
  Growth growth(env_.fs, env_.on_progress, *index_);
  const std::vector<uint64_t>& taken = index_->segments;
  size_t seen = 0;
  std::vector<LogPart> kernel;
  for (const LogPart& part : parts) {
    if (part.segment == 0) {
      kernel.push_back(part);
    } else if (seen == taken.size()) {
      IMASNAP_RETURN_IF_ERROR(growth.AddSegment(part));
    } else if (part.segment == taken[seen]) {
      ++seen;
    } else {
      break;
    }
  }
  if (seen < taken.size()) {
    Error error = FileError(ErrorCode::kMismatch, Cause::kSegmentMissing, env_.config.store,
                            fmt::format("segment {} no longer exists", SegmentName(taken[seen])));
    error.segment = taken[seen];
    return error;
  }
  IMASNAP_RETURN_IF_ERROR(growth.AddKernel(kernel));
  Unlock(&boot_log);
  IMASNAP_ASSIGN(LogIndex next, growth.Finish());
  IMASNAP_RETURN_IF_ERROR(CheckFirstRecord(next, parts.front().path));
  if (total && *total > next.end.records) {
    Error error =
        FileError(ErrorCode::kMismatch, Cause::kRecordsMissing, boot_log.live_path,
                  fmt::format("{} records were measured since cold boot, but segments and list "
                              "have {}: a program that ignores the lock removed the others",
                              *total, next.end.records));
    error.expected = std::to_string(*total);
    error.found = std::to_string(next.end.records);
    return error;
  }
  Publish(std::move(next));
  return {};
}

void WholeLog::Publish(LogIndex index) {
  auto next = std::make_shared<const LogIndex>(std::move(index));
  const std::lock_guard<std::mutex> lock(mutex_);
  index_ = std::move(next);
}

}  // namespace imasnap
