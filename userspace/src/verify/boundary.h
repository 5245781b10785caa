// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where a checkpoint lies in a log.
#ifndef IMASNAP_VERIFY_BOUNDARY_H_
#define IMASNAP_VERIFY_BOUNDARY_H_

#include <string>
#include <vector>

#include "base/result.h"
#include "verify/checkpoint.h"
#include "verify/verify.h"

namespace imasnap {

struct Boundary {
  size_t part = 0;  // that begins at the checkpoint's boundary
  // Whether it does begin there, right after the state's last segment: one that is
  // missing, empty or damaged does not tell, and verifying says so.
  bool reached = true;
};

// kCannotCheck (of `state_file`) when the log is another machine's or boot's, or
// goes on in another way. Reads the first record of the log, where it is there,
// and that of the part.
Result<Boundary> FindBoundary(const std::vector<LogPart>& parts, const Checkpoint& from,
                              const LogIdentity& identity, const std::string& state_file);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_BOUNDARY_H_
