// SPDX-License-Identifier: GPL-2.0-or-later
//
// PCR values, from a TPM or a file.
#ifndef IMASNAP_TPM_PCR_VALUES_H_
#define IMASNAP_TPM_PCR_VALUES_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace imasnap {

// Bank (the kernel's name of its algorithm) to PCR to value.
using PcrValues = std::map<std::string, std::map<uint32_t, Digest>>;

// What reads PCRs: a TPM, or a test's fake.
class PcrReader {
 public:
  virtual ~PcrReader() = default;
  // The values of these PCRs in every bank, all at one moment. Each call reads them
  // again.
  virtual Result<PcrValues> Read(const std::vector<uint32_t>& pcrs) = 0;
};

// Reads the text of a PCR file. Its lines show which of these forms it has:
//   tpm2_pcrread:    "sha256:" and below it "  10: 0x0123..."; a bank that is not
//                    known is read too
//   tpm2_quote, tpm2_checkquote: the same below "pcrs:", among lines that are skipped
//   sysfs, evmctl:   "PCR-10: 01 23 ..." or "PCR-10: 0123..."; the bank is the
//                    SHA algorithm with a digest of that length
// Strict; errors name `file` and the line.
Result<PcrValues> ParsePcrText(std::string_view text, const std::string& file);

}  // namespace imasnap

#endif  // IMASNAP_TPM_PCR_VALUES_H_
