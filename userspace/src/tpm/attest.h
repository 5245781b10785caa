// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a TPM2_Quote answers, TPMS_ATTEST and TPMT_SIGNATURE (TPM 2.0 Part 2,
// 10.12.12 and 11.3.4), and the public key that signed it. No TPM is needed.
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
  uint64_t clock = 0;          // milliseconds the TPM was powered, ever
  uint32_t reset_count = 0;    // rises at a cold boot, but not after Shutdown(STATE)
  uint32_t restart_count = 0;  // rises at a resume and at such a boot, else is zero
  bool safe = false;           // the clock never ran backwards

  bool operator==(const ClockInfo&) const = default;
};

// A quote, parsed; nothing in it is true before its signature was verified.
struct Attestation {
  Bytes qualified_signer;  // TPM2B_NAME
  Bytes nonce;             // extraData
  ClockInfo clock;
  uint64_t firmware_version = 0;
  PcrSelection selection;
  Bytes pcr_digest;
};

// Strict: TPM_GENERATED_VALUE, TPM_ST_ATTEST_QUOTE, nothing behind it. Errors
// are kMalformed.
Result<Attestation> ParseAttestation(ByteView bytes);

struct QuoteSignature {
  enum class Scheme { kRsassa, kRsapss, kEcdsa };
  Scheme scheme = Scheme::kRsassa;
  HashAlg hash = HashAlg::kSha256;  // of the message, and of the PCRs
  Bytes rsa;
  Bytes r;  // of ECDSA
  Bytes s;
};

// Strict, as ParseAttestation(). SHA-1 is refused: a signature over it can be
// of another message.
Result<QuoteSignature> ParseQuoteSignature(ByteView bytes);

// The public part of an attestation key.
class AttestationKey {
 public:
  // TPM2B_PUBLIC as tpm2-tools write it, or a PEM public key. kMalformed when it
  // is neither; kCannotCheck when it is weak (RSA below 2048 bits, no NIST curve
  // of at least 256), or its attributes let it sign what no TPM has made (not
  // restricted, or not bound to one TPM). A PEM key has no attributes: whoever
  // gives one vouches for them.
  static Result<AttestationKey> Parse(ByteView bytes);

  // kMismatch unless `signature` is this key's of `message`.
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
