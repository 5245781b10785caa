// SPDX-License-Identifier: GPL-2.0-or-later
//
// Makes quotes: TPM2_Quote with an AK of the store, and the PCR values it covers.
#ifndef IMASNAP_TPM_QUOTE_H_
#define IMASNAP_TPM_QUOTE_H_

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "tpm/ak.h"
#include "tpm/attest.h"
#include "tpm/pcr_selection.h"
#include "tpm/pcr_values.h"
#include "tpm/tpm.h"

namespace imasnap {

// The longest nonce that any TPM accepts: the size of its largest hash.
inline constexpr size_t kMaxNonce = 64;

struct Quote {
  Bytes message;    // TPMS_ATTEST
  Bytes signature;  // TPMT_SIGNATURE
  Attestation attestation;
  PcrValues values;  // the message has their digest
};

// Checks that every PCR of `selection` is in an active bank (kUsage), then reads and
// quotes them. If something was measured in between, it repeats both, a bounded number
// of times.
Result<Quote> MakeQuote(Tpm& tpm, const Ak& ak, ByteView nonce, const PcrSelection& selection);

// These PCRs in all banks that have them; banks without any are left out.
PcrSelection SelectInAllBanks(const PcrSelection& allocated, const std::set<uint32_t>& pcrs);

// The file that tpm2_quote -o writes and tpm2_checkquote -f reads without a list of
// PCRs ("serialized", tpm2-tools 4 and 5): the memory of TPML_PCR_SELECTION, a count,
// and that many TPML_DIGEST, all little-endian.
Bytes ToCheckquoteFormat(const PcrSelection& selection, const PcrValues& values);

// As tpm2_pcrread prints them; ParsePcrText() reads it.
std::string ToPcrText(const PcrValues& values);

}  // namespace imasnap

#endif  // IMASNAP_TPM_QUOTE_H_
