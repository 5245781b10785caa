// SPDX-License-Identifier: GPL-2.0-or-later
//
// Checks that all parts of a log are there.
#ifndef IMASNAP_STORE_COMPLETENESS_H_
#define IMASNAP_STORE_COMPLETENESS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "log/log_reader.h"
#include "store/log_parts.h"

namespace imasnap {

// For commands that need the log from record `from` on: kCannotCheck if a part with
// such records was discarded. The error names the segments and the reason.
Status CheckNotDiscarded(const std::vector<LogPart>& parts, uint64_t from = 1);
// The same, and kMismatch if a part is missing.
Status CheckComplete(const std::vector<LogPart>& parts, uint64_t from = 1);

// kCannotCheck: the log, whose only file is `name`, has no record.
Error EmptyLog(const std::string& name);

// kMismatch unless `first`, of the file `name`, is what a boot's log begins with.
Status CheckBeginning(const Record& first, const std::string& name);

}  // namespace imasnap

#endif  // IMASNAP_STORE_COMPLETENESS_H_
