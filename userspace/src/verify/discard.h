// SPDX-License-Identifier: GPL-2.0-or-later
//
// Removes what the configuration allows: sessions of old boots (keep_boots), and
// verified segments of this boot (discard = "verified").
#ifndef IMASNAP_VERIFY_DISCARD_H_
#define IMASNAP_VERIFY_DISCARD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "snapshot/note.h"
#include "store/environment.h"
#include "store/metadata.h"
#include "verify/checkpoint.h"

namespace imasnap {

struct GcResult {
  std::vector<SegmentInfo> discarded;  // by this call
  Notes notes;
};

// Takes the exclusive lock. With `checkpoint` (read from `state_file`) it removes the bytes
// of the segments up to its boundary, except the last segment of the session. It first
// notes this durably in the metadata and then removes the file; if the process dies in
// between, the next call finishes. `done` is set on errors, too.
//
// Errors: kLocked; kFailed if `checkpoint` is given and the configuration does not allow it;
// kCannotCheck if it is of another log.
Status CollectGarbage(const Environment& env, const std::optional<Checkpoint>& checkpoint,
                      const std::string& state_file, GcResult* done);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_DISCARD_H_
