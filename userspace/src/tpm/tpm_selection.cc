// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm/tpm_selection.h"

#include <algorithm>

namespace imasnap {
namespace {

// PC Client Platform TPM Profile: room for 24 PCRs, the minimum that every TPM accepts.
constexpr UINT8 kSelectBytes = 3;

}  // namespace

PcrSelection FromTss(const TPML_PCR_SELECTION& selection) {
  PcrSelection banks;
  for (UINT32 i = 0; i < selection.count; ++i) {
    const TPMS_PCR_SELECTION& from = selection.pcrSelections[i];
    BankSelection& bank = banks.emplace_back();
    bank.tpm_alg = from.hash;
    for (uint32_t pcr = 0; pcr < 8U * from.sizeofSelect; ++pcr) {
      if ((from.pcrSelect[pcr / 8] >> pcr % 8 & 1) != 0) {
        bank.pcrs.insert(pcr);
      }
    }
  }
  return banks;
}

TPML_PCR_SELECTION ToTss(const PcrSelection& selection) {
  TPML_PCR_SELECTION out{};
  for (const BankSelection& bank : selection) {
    if (out.count == TPM2_NUM_PCR_BANKS) {
      break;
    }
    TPMS_PCR_SELECTION& to = out.pcrSelections[out.count++];
    to.hash = bank.tpm_alg;
    to.sizeofSelect = kSelectBytes;
    for (const uint32_t pcr : bank.pcrs) {
      if (pcr < 8U * kSelectBytes) {
        to.pcrSelect[pcr / 8] |= static_cast<BYTE>(1U << pcr % 8);
      }
    }
  }
  return out;
}

}  // namespace imasnap
