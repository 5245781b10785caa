// SPDX-License-Identifier: GPL-2.0-or-later
//
// Takes one snapshot (RFC v2, section C.2): lock, open, copy, sync, compare, rename,
// metadata, purge. STORE.md has the order and the reasons, for the snapshot file and
// for staging.
#ifndef IMASNAP_SNAPSHOT_SNAPSHOT_H_
#define IMASNAP_SNAPSHOT_SNAPSHOT_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "snapshot/note.h"
#include "store/environment.h"
#include "store/metadata.h"
#include "store/store.h"

namespace imasnap {

struct TakeResult {
  uint64_t session = 0;
  uint64_t attempt = kNoAttempt;  // none with staging
  // Nothing with mark, or if there was no record to take (with staging).
  std::optional<SegmentInfo> segment;
};

// Takes a snapshot now. With `mark` the aggregate is recorded and nothing is stored or
// purged. On an error nothing was purged, unless its message says otherwise. `notes`
// gets what was repaired and what is worth knowing, also before an error.
//
// If a process that died, or another program, left records staged, they are first
// stored as a separate segment, with a note.
//
// `prepare` is called under the lock, before an aggregate is recorded or a record is
// copied. If it fails, its error is returned, and no snapshot is taken.
//
// env.on_progress is called while the records are copied. If it returns false before
// the segment is durable, the snapshot is cancelled.
//
// Errors: kLocked; kMismatch if the bytes do not have the aggregate's Segment_Hash
// (they are kept beside the segments); kRefused if the kernel has neither interface, or
// if others can write the store or it is in memory; kFailed.
Result<TakeResult> TakeSnapshot(const Environment& env, bool mark, Notes* notes,
                                const std::function<Status()>& prepare = {});

// The last snapshot before the machine goes down or executes another kernel. Waits up to
// ten seconds for the lock. Afterwards, or if the snapshot fails, it keeps a copy of what
// is left in the kernel (STORE.md, "The final snapshot").
Result<TakeResult> TakeFinalSnapshot(const Environment& env, Notes* notes);

// The first part of TakeSnapshot(), for a service that starts: repairs the store,
// closes the sessions of earlier boots, removes the oldest ones, and stores records
// that were left staged. `notes` as above. Returns the resulting session of this boot.
Result<Session> RepairStore(const Environment& env, Notes* notes);

}  // namespace imasnap

#endif  // IMASNAP_SNAPSHOT_SNAPSHOT_H_
