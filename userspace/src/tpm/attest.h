// SPDX-License-Identifier: GPL-2.0-or-later
//
// The answer to TPM2_Quote, TPMS_ATTEST and TPMT_SIGNATURE (TPM 2.0 Part 2, 10.12.12
// and 11.3.4), and the public key that signed it. No TPM is needed.
#ifndef IMASNAP_TPM_ATTEST_H_
#define IMASNAP_TPM_ATTEST_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "tpm/pcr_selection.h"

using EVP_PKEY = struct evp_pkey_st;

namespace imasnap {

// TPMS_CLOCK_INFO. The counts of a key that is neither of the endorsement nor of
// the platform hierarchy are obfuscated (TPM 2.0 Part 1, attestation): the same
// offset, which only that TPM knows, is added to all of one key's quotes.
struct ClockInfo {
  uint64_t clock = 0;          // milliseconds that the TPM was powered, in total
  uint32_t reset_count = 0;    // rises at a cold boot, but not after Shutdown(STATE)
  uint32_t restart_count = 0;  // rises at a resume and at such a boot; reset to zero by others
  bool safe = false;           // the clock never ran backwards

  bool operator==(const ClockInfo&) const = default;
};

// A parsed quote. Trust nothing in it before its signature is verified.
struct Attestation {
  Bytes qualified_signer;  // TPM2B_NAME
  Bytes nonce;             // extraData
  ClockInfo clock;
  uint64_t firmware_version = 0;
  PcrSelection selection;
  Bytes pcr_digest;
};

// Strict: requires TPM_GENERATED_VALUE and TPM_ST_ATTEST_QUOTE, and that nothing
// follows. Errors are kMalformed.
Result<Attestation> ParseAttestation(ByteView bytes);

struct QuoteSignature {
  enum class Scheme { kRsassa, kRsapss, kEcdsa };
  Scheme scheme = Scheme::kRsassa;
  HashAlg hash = HashAlg::kSha256;  // of the message, and of the PCRs
  Bytes rsa;
  Bytes r;  // of ECDSA
  Bytes s;
};

// Strict, as ParseAttestation(). SHA-1 is refused, because a signature with it may also
// fit another message.
Result<QuoteSignature> ParseQuoteSignature(ByteView bytes);

// The public part of an attestation key.
class AttestationKey {
 public:
  // TPM2B_PUBLIC as tpm2-tools write it, or a PEM public key. kMalformed if it is
  // neither; kCannotCheck if it is weak (RSA below 2048 bits, or not a NIST curve of at
  // least 256 bits), or if its attributes let it sign what no TPM has made (not
  // restricted, or not bound to one TPM). A PEM key has no attributes: the user who
  // gives one must know them.
  static Result<AttestationKey> Parse(ByteView bytes);

  // kMismatch unless `signature` is this key's signature of `message`.
  Status Verify(ByteView message, const QuoteSignature& signature) const;

  // SHA-256 of the key's SubjectPublicKeyInfo, in hex: the same for both forms.
  const std::string& id() const { return id_; }
  // The TPM's name of the key, in hex; empty for a PEM key.
  const std::string& tpm_name() const { return tpm_name_; }
  Result<std::string> Pem() const;

 private:
  struct KeyDeleter {
    void operator()(EVP_PKEY* key) const;
  };
  using KeyPtr = std::unique_ptr<EVP_PKEY, KeyDeleter>;

  AttestationKey() = default;
  static Result<KeyPtr> FromPem(ByteView bytes);
  Status ReadPublicArea(ByteView bytes);
  Status CheckStrength() const;
  Status SetId();

  KeyPtr key_;
  std::string id_;
  std::string tpm_name_;
};

}  // namespace imasnap

#endif  // IMASNAP_TPM_ATTEST_H_
