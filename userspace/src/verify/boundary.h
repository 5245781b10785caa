// SPDX-License-Identifier: GPL-2.0-or-later
//
// Finds a checkpoint in a log.
#ifndef IMASNAP_VERIFY_BOUNDARY_H_
#define IMASNAP_VERIFY_BOUNDARY_H_

#include <string>
#include <vector>

#include "base/result.h"
#include "verify/checkpoint.h"
#include "verify/verify.h"

namespace imasnap {

struct Boundary {
  size_t part = 0;  // the part that begins at the checkpoint's boundary
  // Whether the part is known to begin there, right after the state's last segment. A
  // part that is missing, empty or damaged does not show it; verification reports
  // those.
  bool reached = true;
};

// kCannotCheck (of `state_file`) if the log is of another machine or boot, or continues
// differently. Reads the first record of the log, if it is there, and that of the part.
Result<Boundary> FindBoundary(const std::vector<LogPart>& parts, const Checkpoint& from,
                              const LogIdentity& identity, const std::string& state_file);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_BOUNDARY_H_
