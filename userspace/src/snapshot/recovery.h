// SPDX-License-Identifier: GPL-2.0-or-later
//
// Repairs the store before a snapshot is taken. STORE.md lists the states.
#ifndef IMASNAP_SNAPSHOT_RECOVERY_H_
#define IMASNAP_SNAPSHOT_RECOVERY_H_

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/kernel_files.h"
#include "snapshot/note.h"
#include "store/environment.h"
#include "store/store.h"

namespace imasnap {

struct Recovered {
  Session session;  // of this boot; made if there was none
  // The last segment, if its records are still in the kernel: the next segment will
  // have them too.
  std::optional<uint64_t> to_supersede;
  // Whether records are staged that no segment has. Those of to_supersede are among
  // them.
  bool staged = false;
};

// The exclusive lock must be held. Removes what an interrupted snapshot left, writes
// metadata that is missing, notes a purge that was not confirmed, deletes staged
// records that the last segment has, closes the session of an earlier boot and removes
// the oldest ones. kRefused if records of this boot were purged and the store has none
// of them (allow_gap).
Result<Recovered> Recover(const Environment& env, Backend backend, Notes* notes);

// Notes in session.json that the session continues in this run of the kernel. `session`
// is from Recover(). After a kexec, do this only when the records that it carried over
// are in a new segment. Until then the difference of runs shows that they are those of
// the last segment.
Status RecordLastRun(const Environment& env, Session* session);

// Removes the oldest sessions until keep_boots are left, with a note for each. Returns
// the errors of those that could not be removed.
Result<std::vector<Error>> RemoveOldSessions(const Environment& env, Notes* notes);

}  // namespace imasnap

#endif  // IMASNAP_SNAPSHOT_RECOVERY_H_
