// SPDX-License-Identifier: GPL-2.0-or-later
//
// The log of this boot as one: its segments, and what the kernel has.
#ifndef IMASNAP_STORE_SESSION_H_
#define IMASNAP_STORE_SESSION_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/environment.h"
#include "store/store.h"

namespace imasnap {

struct LogView {
  std::unique_ptr<File> lock;      // shared; reset it to let snapshots go on
  std::optional<Session> session;  // nothing when no segment is of this boot
  bool gap = false;                // the kernel's list does not continue the session's last segment
  // The segments that come before the kernel's list, in order. One that was
  // stored but not purged is left out: its records are in the list.
  std::vector<Segment> segments;
  // Records that were staged and that no segment holds, at its beginning: they
  // come between the segments and the list. A copy; null when there are none.
  std::shared_ptr<File> staged;
  std::string staged_path;
  // At its beginning. A copy where the kernel has staging, which an open reader
  // would hold up.
  std::unique_ptr<File> live;
  std::string live_path;
  bool has_staging = false;
};

// Takes the shared lock and opens the log.
Result<LogView> OpenLogView(const Environment& env);
// The same for whoever holds the lock already.
Result<LogView> OpenLogViewLocked(const Environment& env);

}  // namespace imasnap

#endif  // IMASNAP_STORE_SESSION_H_
