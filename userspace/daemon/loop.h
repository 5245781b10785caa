// SPDX-License-Identifier: GPL-2.0-or-later
//
// Calls a Service for signals, timers, the watchdog and the end of the worker, by
// sd-event(3).
#ifndef IMASNAP_DAEMON_LOOP_H_
#define IMASNAP_DAEMON_LOOP_H_

#include <systemd/sd-event.h>

#include <memory>

#include "base/result.h"
#include "daemon/service.h"
#include "daemon/worker.h"

namespace imasnap::daemon {

class Loop {
 public:
  // Blocks SIGTERM, SIGINT and SIGHUP in the calling thread: Run() then receives those
  // that come before it. To be called before any thread is started.
  static Result<std::unique_ptr<Loop>> Create();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Since boot, including the time of suspend.
  Time Now() const;
  // Returns when the service was stopped by SIGTERM or SIGINT and has finished.
  Status Run(Service* service, const Worker& worker);

 private:
  struct EventDeleter {
    void operator()(sd_event* event) const { sd_event_unref(event); }
  };
  struct SourceDeleter {
    void operator()(sd_event_source* source) const { sd_event_source_disable_unref(source); }
  };
  using Source = std::unique_ptr<sd_event_source, SourceDeleter>;

  Loop() = default;
  static Status Keep(int added, sd_event_source** raw, Source* source);
  Status AddSignal(int number, sd_event_signal_handler_t handler, Source* source);
  Status AddWatchdog();
  // After each event: ends the loop, or sets the timer for the next Tick().
  int GoOn();

  static int OnStop(sd_event_source*, const struct signalfd_siginfo*, void* loop);
  static int OnReload(sd_event_source*, const struct signalfd_siginfo*, void* loop);
  static int OnTimer(sd_event_source*, uint64_t, void* loop);
  static int OnWatchdog(sd_event_source*, uint64_t, void* loop);
  static int OnSnapshotDone(sd_event_source*, int, uint32_t, void* loop);

  // The event is destroyed last, because sources refer to it.
  std::unique_ptr<sd_event, EventDeleter> event_;
  Source stop_term_;
  Source stop_int_;
  Source reload_;
  Source timer_;
  Source watchdog_;
  Source done_;
  Time watchdog_interval_{};
  Service* service_ = nullptr;
};

}  // namespace imasnap::daemon

#endif  // IMASNAP_DAEMON_LOOP_H_
