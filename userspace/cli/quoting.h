// SPDX-License-Identifier: GPL-2.0-or-later
//
// What `quote` and `evidence` share.
#ifndef IMASNAP_CLI_QUOTING_H_
#define IMASNAP_CLI_QUOTING_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/log_parts.h"
#include "tpm/pcr_selection.h"
#include "tpm/tpm.h"

namespace imasnap::cli {

// The bytes of --nonce; kUsage if it is not hexadecimal, or too long.
Result<Bytes> NonceOf(const std::string& hex);

// The PCRs that the records of the log extend: a verifier needs all of them.
Result<std::set<uint32_t>> PcrsOfLog(const std::vector<LogPart>& parts);

// What --pcrs gives or, if it is empty, the PCRs of the log in all banks that have them.
Result<PcrSelection> SelectionOf(const std::string& given, Tpm* tpm,
                                 const std::function<Result<std::set<uint32_t>>()>& of_log);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_QUOTING_H_
