// SPDX-License-Identifier: GPL-2.0-or-later
//
// How long to wait after a snapshot that failed.
#ifndef IMASNAP_DAEMON_BACKOFF_H_
#define IMASNAP_DAEMON_BACKOFF_H_

#include <algorithm>

#include "daemon/trigger.h"

namespace imasnap::daemon {

class Backoff {
 public:
  static constexpr Time kFirst = std::chrono::seconds(1);
  static constexpr Time kLongest = std::chrono::minutes(5);
  // Another program that holds the lock is not a failure. The wait is short, because
  // with many readers the lock is seldom free.
  static constexpr Time kLocked = std::chrono::milliseconds(250);
  // Bytes that contradict their hash do not improve, and each attempt keeps a copy of
  // them in the store.
  static constexpr Time kMismatch = std::chrono::hours(1);

  // Another failure: the wait before the next attempt.
  Time Failed() {
    ++failures_;
    const Time wait = next_;
    next_ = std::min(next_ * 2, kLongest);
    return wait;
  }
  void Reset() {
    next_ = kFirst;
    failures_ = 0;
  }
  // Since the last reset.
  int failures() const { return failures_; }

 private:
  Time next_ = kFirst;
  int failures_ = 0;
};

}  // namespace imasnap::daemon

#endif  // IMASNAP_DAEMON_BACKOFF_H_
