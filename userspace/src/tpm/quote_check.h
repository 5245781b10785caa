// SPDX-License-Identifier: GPL-2.0-or-later
//
// Verifies a quote, step by step: signature, form, nonce, boot. The result gives
// what a log must replay to. No TPM is needed.
#ifndef IMASNAP_TPM_QUOTE_CHECK_H_
#define IMASNAP_TPM_QUOTE_CHECK_H_

#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "tpm/attest.h"
#include "tpm/pcr_selection.h"
#include "tpm/pcr_values.h"

namespace imasnap {

// A file's content, and its name for errors.
struct NamedBytes {
  std::string file;
  Bytes bytes;
};

struct QuoteEvidence {
  NamedBytes message;    // TPMS_ATTEST
  NamedBytes signature;  // TPMT_SIGNATURE
  NamedBytes ak;         // TPM2B_PUBLIC or PEM
  Bytes nonce;
};

struct CheckedQuote {
  Attestation attestation;
  HashAlg digest_alg = HashAlg::kSha256;  // of pcr_digest
  std::string ak_name;                    // TPM name in hex; empty for a PEM key
  std::string ak_id;                      // AttestationKey::id()
};

// Checks the signature first, so nothing is parsed that the AK did not sign. kMismatch
// if the quote, its signature or its nonce is wrong; kCannotCheck if the AK is not
// trustworthy.
Result<CheckedQuote> CheckQuote(const QuoteEvidence& evidence);

// kMismatch unless the quote is from the boot with this reset count.
Status CheckSameBoot(const CheckedQuote& quote, uint32_t log_reset_count);

// What the log must replay to: a digest over PCRs, of which some may be given.
struct QuotedPcrs {
  PcrSelection selection;
  HashAlg digest_alg = HashAlg::kSha256;
  Digest digest;
  // Values of selected PCRs. If they are `authentic`, there is one for each, and their
  // digest is that of the quote. Otherwise a value is only used for a PCR that the log
  // does not extend.
  PcrValues given;
  bool authentic = false;
};

// Values in `given` of PCRs that the quote does not select are ignored. If it has all
// that the quote selects, they must have its digest (kMismatch).
Result<QuotedPcrs> PcrsOf(const CheckedQuote& quote, const PcrValues& given);

}  // namespace imasnap

#endif  // IMASNAP_TPM_QUOTE_CHECK_H_
