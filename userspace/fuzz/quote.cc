// SPDX-License-Identifier: GPL-2.0-or-later
#include "attest.h"
#include "targets.h"
#include "tss2_log.h"

namespace imasnap::fuzz {
namespace {

Status Key(ByteView bytes) {
  const auto key = AttestationKey::Parse(bytes);
  if (!key.ok()) {
    return {};
  }
  const auto pem = key->Pem();
  IMASNAP_RETURN_IF_ERROR(Require(pem.ok(), "a key that is accepted has a PEM form"));
  // OpenSSL tests a modulus with random witnesses (SP 800-56B): what is none may be
  // taken once and refused the next time.
  const auto again = AttestationKey::Parse(AsBytes(*pem));
  return Require(!again.ok() || again->id() == key->id(), "both forms of a key are one key");
}

}  // namespace

Status Quote(ByteView input) {
  KeepTss2Quiet();
  if (input.empty()) {
    return {};
  }
  const ByteView rest = input.subspan(1);
  switch (std::to_integer<unsigned>(input[0]) % 3) {
    case 0: {
      const auto quote = ParseAttestation(rest);
      return Require(!quote.ok() || quote->nonce.size() + quote->qualified_signer.size() +
                                            quote->pcr_digest.size() <
                                        rest.size(),
                     "a quote holds what was in its bytes");
    }
    case 1: {
      const auto signature = ParseQuoteSignature(rest);
      return Require(
          !signature.ok() ||
              signature->rsa.size() + signature->r.size() + signature->s.size() < rest.size(),
          "a signature holds what was in its bytes");
    }
    default:
      return Key(rest);
  }
}

}  // namespace imasnap::fuzz
