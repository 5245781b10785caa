// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the daemon does at each event. Time and events come from outside, so
// that tests need neither a loop nor a clock.
#ifndef IMASNAP_DAEMON_SERVICE_H_
#define IMASNAP_DAEMON_SERVICE_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/backoff.h"
#include "daemon/journal.h"
#include "daemon/startup.h"
#include "daemon/trigger.h"
#include "daemon/view_keeper.h"
#include "daemon/worker.h"
#include "store/environment.h"

namespace imasnap::daemon {

struct Parts {
  std::function<Result<Config>()> load_config;
  std::function<void(const std::string&)> notify;  // as sd_notify(3)
  Journal* journal;
  Worker* worker;
  Mounter mount;
};

class Service {
 public:
  // No call before another event, because a snapshot is running.
  static constexpr Time kNever = Time::max();

  // `env` without its configuration, which Start() loads.
  Service(Environment env, Parts parts);

  // Loads the configuration, checks the kernel, checks and repairs the store. On an
  // error the daemon must not run. Otherwise notifies that it is ready.
  Status Start(Time now);
  // Takes a snapshot if one is due. Returns when it must be called again.
  Time Tick(Time now);
  // The worker's snapshot ended; a Tick() follows.
  void SnapshotDone(Time now);
  // Reads the configuration again. If it is wrong, nothing changes. Otherwise it takes
  // effect when no snapshot is running. A Tick() follows.
  void Reload(Time now);
  // Takes no more snapshots, and cancels one that is not durable yet.
  void Stop();
  // Stopped, and nothing runs any more.
  bool finished() const { return stopping_ && !worker_->running(); }
  // Whether the service works; called at intervals.
  bool MakesProgress();

 private:
  Result<Counts> ReadCounts();
  void ApplyConfig(const Config& config, Time now);
  void UseLimits();
  Status PrepareStore(Time now);
  void StartSnapshot(const Counts& counts, Reason reason);
  void Succeeded(const Outcome& outcome, Time now);
  void WriteTaken(const Outcome& outcome);
  void Failed(const Error& error, Time now);
  void Locked(Time now);
  void TroubleIsOver();
  void NotifyIdle(const Counts& counts);
  void NotifyStatus(const std::string& doing);
  // Of a configuration that does not take effect.
  void WriteRejected(const Error& error);
  void WriteNotes(const Notes& notes);
  bool only_mark() const { return env_.config.mode == SnapshotMode::kMark; }

  Environment env_;
  const Parts parts_;
  Journal* const journal_;
  Worker* const worker_;
  ViewKeeper view_;
  Trigger trigger_;
  Limits limits_;
  Backoff backoff_;
  Time not_before_{};     // no attempt before this
  Time last_snapshot_{};  // or, before the first, when the daemon started
  std::string last_text_ = "none yet";
  std::optional<Error> last_error_;  // of the failures since the last success
  std::optional<Time> locked_since_;
  bool told_locked_ = false;
  bool prepared_ = false;
  bool told_no_bytes_ = false;
  bool stopping_ = false;
  std::optional<Config> next_config_;  // when the running snapshot has ended
  Reason reason_ = Reason::kNone;      // of the running snapshot
  uint64_t seen_progress_ = 0;
  std::string status_;
};

}  // namespace imasnap::daemon

#endif  // IMASNAP_DAEMON_SERVICE_H_
