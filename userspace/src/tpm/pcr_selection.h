// SPDX-License-Identifier: GPL-2.0-or-later
//
// Which PCRs of which banks, in the order that a quote's digest depends on.
#ifndef IMASNAP_TPM_PCR_SELECTION_H_
#define IMASNAP_TPM_PCR_SELECTION_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "tpm/pcr_values.h"

namespace imasnap {

struct BankSelection {
  uint16_t tpm_alg = 0;  // TPM_ALG_ID
  std::set<uint32_t> pcrs;

  // The kernel's name of the bank.
  std::string name() const;
  bool operator==(const BankSelection&) const = default;
};

using PcrSelection = std::vector<BankSelection>;

// The kernel's name of a bank: tpm_alg_<hex id> for an algorithm that it does
// not map.
std::string BankNameOf(uint16_t tpm_alg);

// "sha256:10,11+sha1:10", as in tpm2-tools. Errors are kUsage.
Result<PcrSelection> ParsePcrSelection(std::string_view text);
std::string ToText(const PcrSelection& selection);

// The digest that TPM2_Quote signs: over the values, in the order of the banks and then
// of the PCRs. `value` must return each of them.
using PcrLookup = std::function<const Digest&(size_t bank, uint32_t pcr)>;
Digest CompositeDigest(const PcrSelection& selection, HashAlg alg, const PcrLookup& value);

// The value in `values`, or null.
const Digest* FindPcr(const PcrValues& values, const std::string& bank, uint32_t pcr);
bool HasAll(const PcrValues& values, const PcrSelection& selection);

}  // namespace imasnap

#endif  // IMASNAP_TPM_PCR_SELECTION_H_
