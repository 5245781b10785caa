// SPDX-License-Identifier: GPL-2.0-or-later
//
// Takes one snapshot at a time in a separate thread, so that the loop continues.
#ifndef IMASNAP_DAEMON_WORKER_H_
#define IMASNAP_DAEMON_WORKER_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "daemon/trigger.h"
#include "snapshot/snapshot.h"
#include "store/environment.h"

namespace imasnap::daemon {

struct Outcome {
  Result<TakeResult> result;
  Notes notes;
  Time duration{};
  bool cancelled = false;  // Cancel() stopped the snapshot
};

class Worker {
 public:
  static Result<std::unique_ptr<Worker>> Create();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  // cancels a running snapshot and waits for it

  // To be called only if no snapshot is running. `env` is copied; what it refers to
  // must outlive the snapshot.
  void Start(const Environment& env, bool mark);
  // From Start() until Collect().
  bool running() const { return thread_.joinable(); }
  // Cancels the snapshot, unless it is already durable. Does not wait.
  void Cancel() { cancel_ = true; }
  // Rises while a snapshot makes progress.
  uint64_t progress() const { return progress_; }

  // Readable when the snapshot has ended.
  int done_fd() const { return done_fd_; }
  // Waits for the end of the snapshot that is running.
  Outcome Collect();

 private:
  explicit Worker(int done_fd) : done_fd_(done_fd) {}
  void Run(Environment env, bool mark);

  const int done_fd_;
  std::thread thread_;
  std::atomic<bool> cancel_ = false;
  std::atomic<uint64_t> progress_ = 0;
  std::optional<Outcome> outcome_;  // the thread's, until it is joined
};

}  // namespace imasnap::daemon

#endif  // IMASNAP_DAEMON_WORKER_H_
