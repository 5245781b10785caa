// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/refresher.h"

#include <utility>

namespace imasnap {
namespace {

Error Stopped() { return MakeError(ErrorCode::kFailed, "the view is being unmounted"); }

}  // namespace

Refresher::Refresher(std::function<Status()> refresh)
    : refresh_(std::move(refresh)), thread_([this] { Work(); }) {}

Refresher::~Refresher() { Stop(); }

void Refresher::Stop() {
  std::vector<Done> left;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    left.swap(waiting_);
  }
  for (const Done& done : left) {
    done(Stopped());
  }
}

void Refresher::Ask(Done done) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!stop_) {
      waiting_.push_back(std::move(done));
      changed_.notify_one();
      return;
    }
  }
  done(Stopped());
}

void Refresher::Work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
    if (stop_) {
      return;
    }
    const std::vector<Done> served = std::exchange(waiting_, {});
    lock.unlock();
    const Status status = refresh_();
    for (const Done& done : served) {
      done(status);
    }
    lock.lock();
  }
}

}  // namespace imasnap
