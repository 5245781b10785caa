// SPDX-License-Identifier: GPL-2.0-or-later
//
// The log of this boot: its segments, and the records in the kernel.
#ifndef IMASNAP_STORE_BOOT_LOG_H_
#define IMASNAP_STORE_BOOT_LOG_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/environment.h"
#include "store/store.h"

namespace imasnap {

struct BootLog {
  std::unique_ptr<File> lock;      // shared; reset it to let snapshots continue
  std::optional<Session> session;  // nothing if no segment is of this boot
  bool gap = false;                // the kernel's list does not continue the session's last segment
  // The segments that come before the kernel's list, in order. One that was
  // stored but not purged is left out: its records are in the list.
  std::vector<Segment> segments;
  // A copy, at its beginning, of staged records that no segment has: they come between
  // the segments and the list. Null if there are none.
  std::shared_ptr<File> staged;
  std::string staged_path;
  // At its beginning. A copy if the kernel has staging, because an open reader would
  // block that.
  std::unique_ptr<File> live;
  std::string live_path;
  bool has_staging = false;
};

// Takes the shared lock and opens the log.
Result<BootLog> OpenBootLog(const Environment& env);
// The same for callers that already hold the lock.
Result<BootLog> OpenBootLogLocked(const Environment& env);

}  // namespace imasnap

#endif  // IMASNAP_STORE_BOOT_LOG_H_
