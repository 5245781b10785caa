// SPDX-License-Identifier: GPL-2.0-or-later
//
// The copy of the kernel's list that a final snapshot keeps beside the segments.
// STORE.md has the rules ("The final snapshot").
#ifndef IMASNAP_SNAPSHOT_FINAL_LIST_H_
#define IMASNAP_SNAPSHOT_FINAL_LIST_H_

#include <cstdint>

#include "base/result.h"
#include "snapshot/note.h"
#include "store/environment.h"
#include "store/store.h"

namespace imasnap {

// Copies what the kernel has after the segments of the session, durably. The exclusive
// lock must be held. kFailed if there is no room.
Status KeepFinalList(const Environment& env, uint64_t session);

// For a session that continues. Removes the final list, unless `keep` or the kernel does
// not have all of its records. The first time after a kexec it notes how many of them the
// kernel lacks, or that there is no list. To be called before the session's last run is
// updated.
Status CheckFinalList(const Environment& env, const Session& session, bool keep, Notes* notes);

// For a session that is closed: notes if no final snapshot was taken.
Status NoteMissingEnd(const Environment& env, const Session& session, Notes* notes);

}  // namespace imasnap

#endif  // IMASNAP_SNAPSHOT_FINAL_LIST_H_
