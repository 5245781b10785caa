// SPDX-License-Identifier: GPL-2.0-or-later
//
// The whole log since cold boot, from the store's segments and the kernel's
// list, as it grows. It never changes what it has shown.
#ifndef IMASNAP_VIEW_WHOLE_LOG_H_
#define IMASNAP_VIEW_WHOLE_LOG_H_

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "store/boot_log.h"
#include "store/environment.h"
#include "view/log_index.h"

namespace imasnap {

class WholeLog {
 public:
  // Reads everything there is. kMismatch if the beginning of the log is missing, a
  // segment is missing or damaged, or there is a gap. `patience` is how long to wait
  // for the lock, here and later.
  static Result<std::unique_ptr<WholeLog>> Open(const Environment& env,
                                                std::chrono::milliseconds patience);

  // Adds what was measured, or moved to the store, since. Only one thread may call it
  // at a time. An error changes nothing: after kLocked and kFailed a later call may
  // succeed; after any other error every call fails, because what follows in the log is
  // not known.
  Status Refresh();

  // Ends a Refresh() that waits for the lock, in another thread, with kLocked;
  // later ones do not wait.
  void StopWaiting() { impatient_ = true; }

  // The log as it is now. The result stays valid, whatever happens later.
  std::shared_ptr<const LogIndex> index() const;

 private:
  WholeLog(Environment env, std::chrono::milliseconds patience);

  Status RefreshNow();
  // Reads only the kernel's list, without the lock. False if that is not enough.
  Result<bool> FollowKernel(std::optional<uint64_t> total);
  Result<bool> StillBegins(const LogIndex& index) const;
  Status ReadAll(std::optional<uint64_t> total);
  Result<BootLog> LockBootLog();
  void Unlock(BootLog* boot_log);
  void Publish(LogIndex index);

  Environment env_;
  const std::chrono::milliseconds patience_;
  bool has_staging_ = false;
  std::optional<uint64_t> last_total_;  // the kernel's counter, before the last refresh read
  // The lock is left to others for as long as this held it last.
  std::chrono::steady_clock::time_point locked_at_;
  std::chrono::steady_clock::time_point others_turn_;
  std::atomic<bool> impatient_ = false;
  std::optional<Error> broken_;
  mutable std::mutex mutex_;  // for index_
  std::shared_ptr<const LogIndex> index_ = std::make_shared<const LogIndex>();
};

}  // namespace imasnap

#endif  // IMASNAP_VIEW_WHOLE_LOG_H_
