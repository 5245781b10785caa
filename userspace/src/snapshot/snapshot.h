// SPDX-License-Identifier: GPL-2.0-or-later
//
// Takes one snapshot (RFC v2, section C.2): lock, open, copy, sync, compare,
// rename, metadata, purge. STORE.md has the order and why, for the snapshot file
// and for staging.
#ifndef IMASNAP_SNAPSHOT_SNAPSHOT_H_
#define IMASNAP_SNAPSHOT_SNAPSHOT_H_

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/environment.h"
#include "store/metadata.h"
#include "store/store.h"

namespace imasnap {

struct TakeResult {
  uint64_t session = 0;
  uint64_t attempt = kNoAttempt;  // by staging there is none
  // Nothing with mark, and where no record was there to take (by staging).
  std::optional<SegmentInfo> segment;
  // What was repaired or is worth knowing, one sentence each.
  std::vector<std::string> notes;
};

// Takes a snapshot now. With `mark` the aggregate is recorded and nothing is
// stored or purged. On an error nothing was purged, except that the error's own
// message says so. `notes` of what was repaired before an error go to `notes`.
//
// Records that were left staged, by a process that died or another program, are
// stored as a segment of their own first; a note says so.
//
// env.on_progress is called while the records are copied. When it returns false
// before the segment is durable, the snapshot is given up.
//
// Errors: kLocked; kMismatch when the bytes read are not those of the
// aggregate's Segment_Hash (they are kept beside the segments); kRefused for a
// kernel that offers no way, and for a store that others may write or that is in
// memory; kFailed.
Result<TakeResult> TakeSnapshot(const Environment& env, bool mark, std::vector<std::string>* notes);

// What TakeSnapshot() does before it takes anything, for a service that starts:
// repairs the store, closes the sessions of earlier boots and removes the
// oldest, stores what was left staged. `notes` as above. Returns the session of
// this boot as it is then.
Result<Session> RepairStore(const Environment& env, std::vector<std::string>* notes);

}  // namespace imasnap

#endif  // IMASNAP_SNAPSHOT_SNAPSHOT_H_
