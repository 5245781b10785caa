// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/service.h"

#include <fmt/format.h>
#include <syslog.h>

#include <algorithm>
#include <ctime>

#include "base/text.h"

namespace imasnap::daemon {
namespace {

// If another program holds the lock for this long, a warning is logged.
constexpr Time kLockedLong = std::chrono::minutes(5);

int64_t Seconds(Time time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

// Whether it is the same failure again, even with other numbers in its message.
bool SameTrouble(const std::optional<Error>& a, const Error& b) {
  return a && a->code == b.code && a->cause == b.cause && a->errno_value == b.errno_value &&
         a->file == b.file;
}

// Another attempt cannot succeed.
bool IsRefusal(const Error& error) { return error.code == ErrorCode::kRefused; }

// systemd requires this with RELOADING=1, sd_notify(3).
uint64_t MonotonicUsec() {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

bool SameStore(const Config& a, const Config& b) {
  return a.store == b.store && a.lock_file == b.lock_file && a.mode == b.mode &&
         a.allow_volatile == b.allow_volatile && a.allow_gap == b.allow_gap;
}

}  // namespace

Service::Service(Environment env, Parts parts)
    : env_(std::move(env)),
      parts_(std::move(parts)),
      journal_(parts_.journal),
      worker_(parts_.worker),
      view_(parts_.mount, parts_.journal) {}

Status Service::Start(Time now) {
  IMASNAP_ASSIGN(env_.config, parts_.load_config());
  last_snapshot_ = now;
  Status prepared = PrepareStore(now);
  if (!prepared.ok() && IsRefusal(prepared.error())) {
    return prepared;
  }
  UseLimits();
  view_.Keep(env_, now);
  parts_.notify("READY=1");
  return {};
}

void Service::UseLimits() {
  limits_ = LimitsOf(env_.config);
  told_no_bytes_ = false;
  if (limits_.any()) {
    journal_->Write(
        LOG_INFO, fmt::format("store {}: a snapshot at {}", env_.config.store, limits_.ToString()),
        {{"IMA_EVENT", "limits"}, {"IMA_STORE", env_.config.store}});
  } else {
    journal_->Write(LOG_WARNING,
                    "max_records, max_bytes and max_age are all 0: no snapshot will be taken",
                    {{"IMA_EVENT", "no_limits"}});
  }
}

Status Service::PrepareStore(Time now) {
  prepared_ = false;
  Notes notes;
  auto prepared = Prepare(env_, &notes);
  WriteNotes(notes);
  if (!prepared.ok()) {
    if (prepared.error().code == ErrorCode::kLocked) {
      Locked(now);
    } else if (!IsRefusal(prepared.error())) {
      Failed(prepared.error(), now);
    }
    return std::move(prepared.error());
  }
  prepared_ = true;
  TroubleIsOver();
  // A purge leaves the aggregate; staging leaves nothing.
  trigger_ = Trigger(prepared->backend == Backend::kSnapshot ? 1 : 0);
  last_snapshot_ = now;
  last_text_ = "none yet";
  if (prepared->last) {
    const SegmentInfo& last = *prepared->last;
    last_text_ = fmt::format("segment {} of {}", SegmentName(last.number), last.taken);
    const auto taken = ParseUtc(last.taken);
    const auto wall = ParseUtc(env_.now());
    if (taken && wall && *taken < *wall) {
      last_snapshot_ = now - std::chrono::seconds(*wall - *taken);
    }
  }
  return {};
}

Result<Counts> Service::ReadCounts() {
  const KernelFiles kernel = env_.kernel();
  IMASNAP_ASSIGN(const std::optional<uint64_t> records,
                 kernel.Counter("runtime_measurements_count"));
  if (!records) {
    return MakeError(ErrorCode::kFailed, "the kernel has no runtime_measurements_count");
  }
  IMASNAP_ASSIGN(const std::optional<uint64_t> bytes, kernel.Counter("runtime_measurements_size"));
  if (!bytes && limits_.max_bytes && !told_no_bytes_) {
    told_no_bytes_ = true;
    const bool others = limits_.max_records || limits_.max_age;
    journal_->Write(
        others ? LOG_INFO : LOG_WARNING,
        fmt::format("the kernel has no runtime_measurements_size: max_bytes is ignored{}",
                    others ? "" : "; set max_records or max_age"),
        {{"IMA_EVENT", "max_bytes_ignored"}});
  }
  return Counts{*records, bytes};
}

Time Service::Tick(Time now) {
  if (stopping_ || worker_->running()) {
    return kNever;
  }
  view_.Keep(env_, now);
  if (now < not_before_) {
    return std::min(not_before_, now + limits_.check_interval);
  }
  if (!prepared_) {
    Status prepared = PrepareStore(now);
    if (!prepared.ok()) {
      if (IsRefusal(prepared.error())) {
        Failed(prepared.error(), now);
      }
      return not_before_;
    }
  }
  const auto counts = ReadCounts();
  if (!counts.ok()) {
    Failed(counts.error(), now);
    return not_before_;
  }
  const Decision decision = trigger_.Decide(limits_, *counts, now - last_snapshot_);
  if (decision.reason != Reason::kNone) {
    StartSnapshot(*counts, decision.reason);
    return kNever;
  }
  NotifyIdle(*counts);
  return now + decision.look_again;
}

void Service::NotifyIdle(const Counts& counts) {
  NotifyStatus(fmt::format("{} in memory; last snapshot: {}; next at {}",
                           Counted(counts.records, "record"), last_text_, limits_.ToString()));
}

void Service::StartSnapshot(const Counts& counts, Reason reason) {
  reason_ = reason;
  if (!locked_since_) {  // otherwise it was reported, and this attempt may fail as well
    const std::string doing = fmt::format("taking a snapshot of {} ({})",
                                          Counted(counts.records, "record"), ReasonName(reason));
    journal_->Write(LOG_DEBUG, doing, {{"IMA_EVENT", "snapshot_started"}});
    NotifyStatus(doing);
  }
  worker_->Start(env_, only_mark());
}

void Service::SnapshotDone(Time now) {
  const Outcome outcome = worker_->Collect();
  WriteNotes(outcome.notes);
  if (outcome.result.ok()) {
    Succeeded(outcome, now);
  } else if (outcome.cancelled) {
    journal_->Write(
        LOG_NOTICE,
        fmt::format("the snapshot was cancelled: {}", outcome.result.error().ToString()),
        {{"IMA_EVENT", "snapshot_cancelled"}});
  } else if (outcome.result.error().code == ErrorCode::kLocked) {
    Locked(now);
  } else {
    Failed(outcome.result.error(), now);
  }
  if (next_config_ && !stopping_) {
    ApplyConfig(*next_config_, now);
    next_config_.reset();
  }
}

void Service::Succeeded(const Outcome& outcome, Time now) {
  WriteTaken(outcome);
  last_snapshot_ = now;
  // The counters are read again at the usual interval: what a snapshot itself measures
  // must not cause the next one at once.
  not_before_ = now + limits_.check_interval;
  TroubleIsOver();
  const auto left = ReadCounts();
  trigger_.Taken(left.ok() && only_mark() ? *left : Counts{});
  if (left.ok()) {
    NotifyIdle(*left);
  }
}

void Service::WriteTaken(const Outcome& outcome) {
  const TakeResult& taken = *outcome.result;
  std::vector<JournalField> fields = {
      {"IMA_EVENT", "snapshot_taken"},
      {"IMA_REASON", ReasonName(reason_)},
      {"IMA_DURATION_USEC", std::to_string(outcome.duration.count())},
  };
  // Staging records no aggregate, so it has no attempts.
  std::string attempt;
  if (taken.attempt != 0) {
    attempt = fmt::format("attempt {}, ", taken.attempt);
    fields.push_back({"IMA_ATTEMPT", std::to_string(taken.attempt)});
  }
  std::string text;
  if (taken.segment) {
    const SegmentInfo& segment = *taken.segment;
    const std::string name = SegmentName(segment.number);
    const std::string records = segment.records == 0
                                    ? "no records"
                                    : fmt::format("{} ({}-{})", Counted(segment.records, "record"),
                                                  segment.first_record, segment.last_record);
    text = fmt::format("segment {}: {}{}, {}", name, attempt, records, SizeText(segment.bytes));
    last_text_ = fmt::format("segment {} of {}", name, segment.taken);
    fields.push_back({"IMA_SESSION", std::to_string(taken.session)});
    fields.push_back({"IMA_SEGMENT", std::to_string(segment.number)});
    fields.push_back({"IMA_RECORDS", std::to_string(segment.records)});
    fields.push_back({"IMA_BYTES", std::to_string(segment.bytes)});
  } else if (only_mark()) {
    text = attempt + "aggregate recorded, nothing purged";
    last_text_ = fmt::format("aggregate {} of {}", taken.attempt, env_.now());
  } else {
    text = "there was nothing to take";
  }
  text += fmt::format(", {:.3f} s ({})", static_cast<double>(outcome.duration.count()) / 1e6,
                      ReasonName(reason_));
  if (backoff_.failures() > 0) {
    text += fmt::format(", after {} failures", backoff_.failures());
    fields.push_back({"IMA_FAILURES", std::to_string(backoff_.failures())});
  }
  journal_->Write(LOG_INFO, text, fields);
}

void Service::Failed(const Error& error, Time now) {
  const bool mismatch = error.code == ErrorCode::kMismatch;
  const Time backoff = backoff_.Failed();
  const Time wait = mismatch ? Backoff::kMismatch : backoff;
  not_before_ = now + wait;
  locked_since_.reset();
  const std::string text = fmt::format("{}; trying again in {} s", error.ToString(), Seconds(wait));
  const int priority = SameTrouble(last_error_, error) ? LOG_DEBUG : mismatch ? LOG_CRIT : LOG_ERR;
  journal_->Write(priority, "no snapshot: " + text,
                  {{"IMA_EVENT", "snapshot_failed"},
                   {"IMA_CAUSE", CauseName(error.cause)},
                   {"ERRNO", std::to_string(error.errno_value)},
                   {"IMA_FAILURES", std::to_string(backoff_.failures())},
                   {"IMA_RETRY_SEC", std::to_string(Seconds(wait))}});
  last_error_ = error;
  NotifyStatus("no snapshot: " + text);
}

void Service::TroubleIsOver() {
  backoff_.Reset();
  last_error_.reset();
  locked_since_.reset();
}

void Service::Locked(Time now) {
  not_before_ = now + Backoff::kLocked;
  if (!locked_since_) {
    locked_since_ = now;
    told_locked_ = false;
    journal_->Write(LOG_INFO,
                    fmt::format("{}: held by another program; trying again", env_.config.lock_file),
                    {{"IMA_EVENT", "lock_held"}});
  } else if (!told_locked_ && now - *locked_since_ >= kLockedLong) {
    told_locked_ = true;
    journal_->Write(LOG_WARNING,
                    fmt::format("{}: has been held by other programs for {} s; no snapshot can be "
                                "taken (lslocks(8) shows which)",
                                env_.config.lock_file, Seconds(now - *locked_since_)),
                    {{"IMA_EVENT", "lock_held_long"},
                     {"IMA_HELD_SEC", std::to_string(Seconds(now - *locked_since_))}});
  }
  NotifyStatus(fmt::format("waiting for {}", env_.config.lock_file));
}

void Service::Reload(Time now) {
  if (stopping_) {
    return;
  }
  parts_.notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", MonotonicUsec()));
  auto config = parts_.load_config();
  if (!config.ok()) {
    WriteRejected(config.error());
  } else if (worker_->running()) {
    next_config_ = std::move(*config);
  } else {
    ApplyConfig(*config, now);
  }
  parts_.notify("READY=1");
}

void Service::WriteRejected(const Error& error) {
  journal_->Write(LOG_ERR, error.ToString() + "; the old configuration stays in force",
                  {{"IMA_EVENT", "config_rejected"}, {"IMA_CAUSE", CauseName(error.cause)}});
}

void Service::ApplyConfig(const Config& config, Time now) {
  const Config old = env_.config;
  const bool other_store = !SameStore(old, config);
  env_.config = config;
  not_before_ = now;
  TroubleIsOver();
  if (other_store) {
    Status prepared = PrepareStore(now);
    if (!prepared.ok() && IsRefusal(prepared.error())) {
      env_.config = old;
      WriteRejected(prepared.error());
      return;  // the next Tick() prepares the old store again
    }
  }
  UseLimits();
  view_.Keep(env_, now);
}

void Service::Stop() {
  if (stopping_) {
    return;
  }
  stopping_ = true;
  parts_.notify("STOPPING=1");
  if (worker_->running()) {
    worker_->Cancel();
    NotifyStatus("stopping: waiting for the running snapshot to end");
  } else {
    NotifyStatus("stopping");
  }
}

bool Service::MakesProgress() {
  const uint64_t progress = worker_->progress();
  const bool makes_progress = !worker_->running() || progress != seen_progress_;
  seen_progress_ = progress;
  return makes_progress;
}

void Service::NotifyStatus(const std::string& doing) {
  if (doing != status_) {
    status_ = doing;
    parts_.notify("STATUS=" + doing);
  }
}

void Service::WriteNotes(const Notes& notes) {
  for (const Note& note : notes) {
    journal_->Write(
        LOG_NOTICE, note.text,
        {{"IMA_EVENT", NoteName(note.kind)}, {"IMA_NUMBER", std::to_string(note.number)}});
  }
}

}  // namespace imasnap::daemon
