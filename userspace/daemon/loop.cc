// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/loop.h"

#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include <csignal>
#include <ctime>

namespace imasnap::daemon {
namespace {

// sd-event returns errors as negative errno values.
Status Check(int result, const char* what) {
  if (result < 0) {
    return SystemError("", what, -result);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Loop>> Loop::Create() {
  std::unique_ptr<Loop> loop(new Loop());
  sd_event* event = nullptr;
  IMASNAP_RETURN_IF_ERROR(Check(sd_event_new(&event), "sd_event_new"));
  loop->event_.reset(event);
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    ::sigaddset(&signals, number);
  }
  IMASNAP_RETURN_IF_ERROR(
      Check(-::pthread_sigmask(SIG_BLOCK, &signals, nullptr), "pthread_sigmask"));
  IMASNAP_RETURN_IF_ERROR(loop->AddSignal(SIGTERM, OnStop, &loop->stop_term_));
  IMASNAP_RETURN_IF_ERROR(loop->AddSignal(SIGINT, OnStop, &loop->stop_int_));
  IMASNAP_RETURN_IF_ERROR(loop->AddSignal(SIGHUP, OnReload, &loop->reload_));
  return loop;
}

// `added`: the result of the sd_event_add_...() that created `*raw`. A handler that
// fails ends the loop: a daemon that misses one kind of event is worse than no daemon.
Status Loop::Keep(int added, sd_event_source** raw, Source* source) {
  IMASNAP_RETURN_IF_ERROR(Check(added, "sd_event_add"));
  source->reset(*raw);
  return Check(sd_event_source_set_exit_on_failure(*raw, 1), "sd_event_source_set_exit_on_failure");
}

Status Loop::AddSignal(int number, sd_event_signal_handler_t handler, Source* source) {
  sd_event_source* raw = nullptr;
  return Keep(sd_event_add_signal(event_.get(), &raw, number, handler, this), &raw, source);
}

Status Loop::AddWatchdog() {
  uint64_t interval = 0;
  const int wanted = sd_watchdog_enabled(0, &interval);
  IMASNAP_RETURN_IF_ERROR(Check(wanted, "sd_watchdog_enabled"));
  if (wanted == 0) {
    return {};
  }
  watchdog_interval_ = Time(interval / 2);
  sd_event_source* raw = nullptr;
  return Keep(sd_event_add_time(event_.get(), &raw, CLOCK_MONOTONIC, 0, 0, OnWatchdog, this), &raw,
              &watchdog_);
}

Time Loop::Now() const {
  struct timespec now {};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::duration_cast<Time>(std::chrono::seconds(now.tv_sec) +
                                          std::chrono::nanoseconds(now.tv_nsec));
}

Status Loop::Run(Service* service, const Worker& worker) {
  service_ = service;
  sd_event_source* raw = nullptr;
  IMASNAP_RETURN_IF_ERROR(Keep(
      sd_event_add_time(event_.get(), &raw, CLOCK_BOOTTIME, 0, 0, OnTimer, this), &raw, &timer_));
  IMASNAP_RETURN_IF_ERROR(
      Keep(sd_event_add_io(event_.get(), &raw, worker.done_fd(), EPOLLIN, OnSnapshotDone, this),
           &raw, &done_));
  IMASNAP_RETURN_IF_ERROR(AddWatchdog());
  return Check(sd_event_loop(event_.get()), "sd_event_loop");
}

int Loop::GoOn() {
  const Time next = service_->Tick(Now());
  if (service_->finished()) {
    return sd_event_exit(event_.get(), 0);
  }
  if (next == Service::kNever) {
    return sd_event_source_set_enabled(timer_.get(), SD_EVENT_OFF);
  }
  const int set = sd_event_source_set_time(timer_.get(), static_cast<uint64_t>(next.count()));
  return set < 0 ? set : sd_event_source_set_enabled(timer_.get(), SD_EVENT_ONESHOT);
}

int Loop::OnStop(sd_event_source*, const struct signalfd_siginfo*, void* loop) {
  auto* self = static_cast<Loop*>(loop);
  self->service_->Stop();
  return self->GoOn();
}

int Loop::OnReload(sd_event_source*, const struct signalfd_siginfo*, void* loop) {
  auto* self = static_cast<Loop*>(loop);
  self->service_->Reload(self->Now());
  return self->GoOn();
}

int Loop::OnTimer(sd_event_source*, uint64_t, void* loop) {
  return static_cast<Loop*>(loop)->GoOn();
}

int Loop::OnWatchdog(sd_event_source* source, uint64_t, void* loop) {
  auto* self = static_cast<Loop*>(loop);
  if (self->service_->MakesProgress()) {
    sd_notify(0, "WATCHDOG=1");
  }
  const int set = sd_event_source_set_time_relative(
      source, static_cast<uint64_t>(self->watchdog_interval_.count()));
  return set < 0 ? set : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int Loop::OnSnapshotDone(sd_event_source*, int, uint32_t, void* loop) {
  auto* self = static_cast<Loop*>(loop);
  self->service_->SnapshotDone(self->Now());
  return self->GoOn();
}

}  // namespace imasnap::daemon
