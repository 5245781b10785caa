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
bool MayPass(const Error& error) {
  return error.code == ErrorCode::kLocked || error.code == ErrorCode::kFailed;
}

// `name` is the file that the log begins in.
Status CheckFirstRecord(const LogState& state, const std::string& name) {
  if (state.end.records == 0) {
    return {};
  }
  StateSource source(state, 0);
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

std::shared_ptr<const LogState> WholeLog::state() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return state_;
}

Status WholeLog::Refresh() {
  if (broken_) {
    return *broken_;
  }
  Status status = RefreshNow();
  if (!status.ok() && !MayPass(status.error())) {
    broken_ = status.error();
  }
  return status;
}

Status WholeLog::RefreshNow() {
  // Before the list is read, so that the list has at least so many records.
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

// A list that begins as it did goes on from it, so no lock is needed and a
// snapshot that is being taken holds nobody up.
Result<bool> WholeLog::FollowKernel(std::optional<uint64_t> total) {
  if (!state_->unmistakable) {
    return false;
  }
  LogPart live;
  live.path = env_.kernel().live_path();
  live.open = [this]() -> Result<std::unique_ptr<File>> {
    IMASNAP_ASSIGN(std::unique_ptr<File> list, env_.kernel().OpenLive());
    // As long as it is open nothing can be staged.
    return has_staging_ ? Spool(env_.fs, *list) : std::move(list);
  };
  Growth growth(env_.fs, env_.on_progress, *state_);
  const Status added = growth.AddKernel({live});
  if (!added.ok()) {
    // Either way a snapshot moved the list's beginning, and the store has the rest.
    if (added.error().code == ErrorCode::kMismatch || HasHole(added.error())) {
      return false;
    }
    return added.error();
  }
  IMASNAP_ASSIGN(LogState next, growth.Finish());
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

// Whether the kernel's list still begins as it does in `state`. If it does, no purge
// moved its beginning before it was read to its end.
Result<bool> WholeLog::StillBegins(const LogState& state) const {
  IMASNAP_ASSIGN(const std::unique_ptr<File> live, env_.kernel().OpenLive());
  LogReader reader(*live, {}, live->path(), LogReader::Check::kFraming);
  IMASNAP_ASSIGN(const Record* const record, reader.Next());
  if (record == nullptr || record->raw.size() > state.end.raw - state.kernel_begin) {
    return false;
  }
  Bytes known(record->raw.size());
  IMASNAP_RETURN_IF_ERROR(state.ReadRaw(state.kernel_begin, known));
  return std::ranges::equal(known, record->raw);
}

Result<LogView> WholeLog::OpenView() {
  const auto end = std::chrono::steady_clock::now() + patience_;
  // Readers that ask all the time would leave no moment for a snapshot.
  while (!impatient_ && std::chrono::steady_clock::now() < others_turn_) {
    std::this_thread::sleep_for(kOthersTurn);
  }
  while (true) {
    locked_at_ = std::chrono::steady_clock::now();
    auto view = OpenLogView(env_);
    if (view.ok() || view.error().code != ErrorCode::kLocked || impatient_ ||
        std::chrono::steady_clock::now() >= end) {
      return view;
    }
    std::this_thread::sleep_for(kLockInterval);
  }
}

void WholeLog::Unlock(LogView* view) {
  if (view->lock) {
    view->lock.reset();
    const auto now = std::chrono::steady_clock::now();
    others_turn_ = now + (now - locked_at_);
  }
}

Status WholeLog::ReadAll(std::optional<uint64_t> total) {
  IMASNAP_ASSIGN(LogView view, OpenView());
  if (view.gap) {
    return FileError(ErrorCode::kMismatch, view.live_path,
                     "does not go on from the last segment stored: records were removed by "
                     "something that does not keep to the lock protocol");
  }
  std::vector<LogPart> parts = PartsOf(env_, view);
  IMASNAP_RETURN_IF_ERROR(CheckComplete(parts));
  if (view.has_staging) {  // then every refresh comes here, and has a copy of the list
    parts.back().open = [&view]() -> Result<std::unique_ptr<File>> { return std::move(view.live); };
    Unlock(&view);
  }
  Growth growth(env_.fs, env_.on_progress, *state_);
  const std::vector<uint64_t>& taken = state_->segments;
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
    return FileError(ErrorCode::kMismatch, env_.config.store,
                     fmt::format("segment {} is not there any more", SegmentName(taken[seen])));
  }
  IMASNAP_RETURN_IF_ERROR(growth.AddKernel(kernel));
  Unlock(&view);
  IMASNAP_ASSIGN(LogState next, growth.Finish());
  IMASNAP_RETURN_IF_ERROR(CheckFirstRecord(next, parts.front().path));
  if (total && *total > next.end.records) {
    return FileError(ErrorCode::kMismatch, view.live_path,
                     fmt::format("{} records were measured since cold boot, segments and list have "
                                 "{}: the others were removed by something that does not keep to "
                                 "the lock protocol",
                                 *total, next.end.records));
  }
  Publish(std::move(next));
  return {};
}

void WholeLog::Publish(LogState state) {
  auto next = std::make_shared<const LogState>(std::move(state));
  const std::lock_guard<std::mutex> lock(mutex_);
  state_ = std::move(next);
}

}  // namespace imasnap
