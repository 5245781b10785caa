// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace imasnap::daemon {

Result<std::unique_ptr<Worker>> Worker::Create() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) {
    return SystemError("", "eventfd", errno);
  }
  return std::unique_ptr<Worker>(new Worker(fd));
}

Worker::~Worker() {
  if (running()) {
    Cancel();
    thread_.join();
  }
  ::close(done_fd_);
}

void Worker::Start(const Environment& env, bool mark) {
  cancel_ = false;
  ++progress_;
  outcome_.reset();
  thread_ = std::thread(&Worker::Run, this, env, mark);
}

void Worker::Run(Environment env, bool mark) {
  const auto begin = std::chrono::steady_clock::now();
  env.on_progress = [this, outer = std::move(env.on_progress)](uint64_t records) {
    ++progress_;
    const bool go_on = !outer || outer(records);
    return go_on && !cancel_;
  };
  Notes notes;
  auto result = TakeSnapshot(env, mark, &notes);
  const bool given_up = cancel_ && !result.ok();
  outcome_.emplace(Outcome{
      std::move(result), std::move(notes),
      std::chrono::duration_cast<Time>(std::chrono::steady_clock::now() - begin), given_up});
  // Cannot fail: the counter is never near its maximum.
  static_cast<void>(::eventfd_write(done_fd_, 1));
}

Outcome Worker::Collect() {
  thread_.join();
  eventfd_t count = 0;
  static_cast<void>(::eventfd_read(done_fd_, &count));
  Outcome outcome = std::move(*outcome_);
  outcome_.reset();
  return outcome;
}

}  // namespace imasnap::daemon
