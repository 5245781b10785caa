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

// The most that any TPM takes: the size of its largest hash.
inline constexpr size_t kMaxNonce = 64;

struct Quote {
  Bytes message;    // TPMS_ATTEST
  Bytes signature;  // TPMT_SIGNATURE
  Attestation attestation;
  PcrValues values;  // whose digest the message has
};

// Checks that every PCR of `selection` is of an active bank (kUsage), reads
// them, has them quoted, and does both again, a bounded number of times, when
// something was measured in between.
Result<Quote> MakeQuote(Tpm& tpm, const Ak& ak, ByteView nonce, const PcrSelection& selection);

// These PCRs in all banks that have them; banks without any are left out.
PcrSelection SelectInAllBanks(const PcrSelection& allocated, const std::set<uint32_t>& pcrs);

// The file that tpm2_quote -o writes and tpm2_checkquote -f reads, without the
// list of PCRs having to be given ("serialized", tpm2-tools 4 and 5): the memory
// of TPML_PCR_SELECTION, a count, and so many TPML_DIGEST, all little-endian.
Bytes ToCheckquoteFormat(const PcrSelection& selection, const PcrValues& values);

// As tpm2_pcrread prints them; ParsePcrText() reads it.
std::string ToPcrText(const PcrValues& values);

}  // namespace imasnap

#endif  // IMASNAP_TPM_QUOTE_H_
