// SPDX-License-Identifier: GPL-2.0-or-later
//
// A store that was copied from another machine. Its log is read without a kernel, a
// lock or a configuration, and any user may own the files.
#ifndef IMASNAP_VERIFY_COPIED_STORE_H_
#define IMASNAP_VERIFY_COPIED_STORE_H_

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/boot_log.h"
#include "verify/checkpoint.h"
#include "verify/verify.h"

namespace imasnap {

struct CopiedLog {
  std::vector<LogPart> parts;
  LogIdentity identity;
};

// `directory` is a session, or a store (it has a directory boots), of which the newest
// session is read unless another is named. `live` is a copy of the kernel's
// binary_runtime_measurements, made after that of the store. Without it the log ends
// with the list that a final snapshot kept, or else with the last segment.
Result<CopiedLog> OpenCopiedLog(FileSystem& fs, const std::string& directory,
                                std::optional<uint64_t> session,
                                const std::optional<std::string>& live);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_COPIED_STORE_H_
