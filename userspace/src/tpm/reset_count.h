// SPDX-License-Identifier: GPL-2.0-or-later
//
// How often the TPM was reset, which identifies a cold boot.
#ifndef IMASNAP_TPM_RESET_COUNT_H_
#define IMASNAP_TPM_RESET_COUNT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace imasnap {

// TPMS_CLOCK_INFO.resetCount of TPM2_ReadClock; nothing without a TPM 2.0 that
// answers. `tcti` as for Tpm::Open().
std::optional<uint32_t> ReadResetCount(const std::string& tcti);

// TPMS_CLOCK_INFO.resetCount of this machine's TPM; nothing if it is not known.
using ResetCount = std::function<std::optional<uint32_t>()>;

// Asks until there is an answer, and then never again, for all threads and copies. The
// count only changes at a cold boot, and each answer takes the TPM two commands.
ResetCount CachedResetCount(ResetCount ask);

}  // namespace imasnap

#endif  // IMASNAP_TPM_RESET_COUNT_H_
