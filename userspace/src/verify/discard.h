// SPDX-License-Identifier: GPL-2.0-or-later
//
// Removes what the configuration lets go: sessions of old boots (keep_boots), and
// segments of this boot that were verified (discard = "verified").
#ifndef IMASNAP_VERIFY_DISCARD_H_
#define IMASNAP_VERIFY_DISCARD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/environment.h"
#include "store/metadata.h"
#include "verify/checkpoint.h"

namespace imasnap {

struct GcResult {
  std::vector<SegmentInfo> discarded;  // now; their bytes are gone
  std::vector<std::string> notes;      // one sentence each
};

// Takes the exclusive lock. With `state` (read from `state_file`) the segments up
// to its boundary lose their bytes, never the last one of the session: first the
// metadata says so, durably, then the file goes; what died in between is
// finished by the next. `done` tells what was done also before an error.
//
// Errors: kLocked; kFailed when `state` is given and the configuration does not
// let segments go; kCannotCheck when the state is not of this log.
Status CollectGarbage(const Environment& env, const std::optional<Checkpoint>& state,
                      const std::string& state_file, GcResult* done);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_DISCARD_H_
