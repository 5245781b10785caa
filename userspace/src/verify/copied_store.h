// SPDX-License-Identifier: GPL-2.0-or-later
//
// A store that was copied from another machine: its log is read without a
// kernel, a lock or a configuration, whoever owns the files.
#ifndef IMASNAP_VERIFY_COPIED_STORE_H_
#define IMASNAP_VERIFY_COPIED_STORE_H_

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/session.h"
#include "verify/checkpoint.h"
#include "verify/verify.h"

namespace imasnap {

struct CopiedLog {
  std::vector<LogPart> parts;
  LogIdentity identity;
};

// `directory` is a store's (with boots in it), of which the newest session is
// taken unless one is named, or one session's. `live` is a copy of the kernel's
// binary_runtime_measurements, made after that of the store; without it the log
// ends with the last segment.
Result<CopiedLog> OpenCopiedLog(FileSystem& fs, const std::string& directory,
                                std::optional<uint64_t> session,
                                const std::optional<std::string>& live);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_COPIED_STORE_H_
