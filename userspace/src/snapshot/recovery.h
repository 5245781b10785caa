// SPDX-License-Identifier: GPL-2.0-or-later
//
// Repairs the store before a snapshot is taken; STORE.md lists the states.
#ifndef IMASNAP_SNAPSHOT_RECOVERY_H_
#define IMASNAP_SNAPSHOT_RECOVERY_H_

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/kernel_log.h"
#include "store/environment.h"
#include "store/store.h"

namespace imasnap {

struct Recovered {
  Session session;  // of this boot; made if there was none
  // The last segment, when its records are still in the kernel: the next
  // segment will hold them too.
  std::optional<uint64_t> to_supersede;
  // Records are staged that no segment holds; to_supersede's are among them.
  bool staged = false;
};

// The exclusive lock must be held. Removes what an interrupted snapshot left,
// describes a segment that has no metadata yet, notes a purge that was not seen
// to succeed, deletes what is staged if the last segment holds it, closes the
// session of an earlier boot and removes the oldest. kRefused where records of
// this boot were purged and the store has none of them (allow_gap).
Result<Recovered> Recover(const Environment& env, Backend backend, std::vector<std::string>* notes);

// Of a session from Recover(). Notes in session.json that the session goes on in this run of the
// kernel. After a kexec not before the records that it carried over have a new segment: until then
// only that the run is another one tells that they are the last segment's.
Status NoteRun(const Environment& env, Session* session);

// Removes the oldest sessions down to keep_boots, and says so. Returns why some
// were not removed.
Result<std::vector<Error>> RemoveOldSessions(const Environment& env,
                                             std::vector<std::string>* notes);

}  // namespace imasnap

#endif  // IMASNAP_SNAPSHOT_RECOVERY_H_
