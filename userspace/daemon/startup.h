// SPDX-License-Identifier: GPL-2.0-or-later
//
// Checks and repairs a store before the first snapshot.
#ifndef IMASNAP_DAEMON_STARTUP_H_
#define IMASNAP_DAEMON_STARTUP_H_

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "snapshot/note.h"
#include "store/environment.h"
#include "store/metadata.h"

namespace imasnap::daemon {

struct Prepared {
  Backend backend = Backend::kNone;
  std::optional<SegmentInfo> last;  // segment of this boot
};

// Repairs the store. Errors: kRefused if the kernel has no interface for snapshots, or
// if the store is not trustworthy, is volatile, or is where a service cannot keep one;
// kLocked.
Result<Prepared> Prepare(const Environment& env, Notes* notes);

// Seconds since 1970 of "2026-01-02T03:04:05Z".
std::optional<int64_t> ParseUtc(const std::string& text);

}  // namespace imasnap::daemon

#endif  // IMASNAP_DAEMON_STARTUP_H_
