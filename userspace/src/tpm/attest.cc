// SPDX-License-Identifier: GPL-2.0-or-later
//
// TPMS_ATTEST and TPMT_SIGNATURE; the key is in attest_key.cc.
#include "tpm/attest.h"

#include <fmt/format.h>
#include <tss2/tss2_mu.h>

#include "tpm/tpm_selection.h"

namespace imasnap {
namespace {

Error Malformed(Cause cause, const char* what, const std::string& problem) {
  return MakeError(ErrorCode::kMalformed, cause, fmt::format("is not a {}: {}", what, problem));
}

constexpr const char* kQuote = "quote of a TPM (TPMS_ATTEST)";
constexpr const char* kSignature = "signature of a TPM (TPMT_SIGNATURE)";
constexpr size_t kAttestHead = sizeof(UINT32) + sizeof(UINT16);

template <typename T>
Bytes Copied(const T* buffer, size_t size) {
  const ByteView view = std::as_bytes(std::span(buffer, size));
  return {view.begin(), view.end()};
}

}  // namespace

Result<Attestation> ParseAttestation(ByteView bytes) {
  if (bytes.size() < kAttestHead) {
    return Malformed(Cause::kTruncated, kQuote, fmt::format("it has {} bytes", bytes.size()));
  }
  const uint32_t magic = LoadU32(bytes, ByteOrder::kBig);
  if (magic != TPM2_GENERATED_VALUE) {
    return Malformed(Cause::kNotAQuote, kQuote,
                     fmt::format("it begins with 0x{:08x}, not with TPM_GENERATED_VALUE", magic));
  }
  const uint64_t type = LoadUint(bytes.subspan(sizeof(UINT32), sizeof(UINT16)), ByteOrder::kBig);
  if (type != TPM2_ST_ATTEST_QUOTE) {
    return Malformed(Cause::kWrongType, kQuote,
                     fmt::format("its type is 0x{:04x}, not TPM_ST_ATTEST_QUOTE", type));
  }
  TPMS_ATTEST attest{};
  size_t end = 0;
  if (Tss2_MU_TPMS_ATTEST_Unmarshal(Raw(bytes), bytes.size(), &end, &attest) != TSS2_RC_SUCCESS) {
    return Malformed(Cause::kOutOfRange, kQuote, "a field is cut short or out of range");
  }
  if (end != bytes.size()) {
    return Malformed(Cause::kTrailingBytes, kQuote,
                     fmt::format("{} bytes follow it", bytes.size() - end));
  }
  if (attest.clockInfo.safe > TPM2_YES) {
    return Malformed(Cause::kSyntax, kQuote, "clockInfo.safe is neither yes nor no");
  }
  Attestation out;
  out.qualified_signer = Copied(attest.qualifiedSigner.name, attest.qualifiedSigner.size);
  out.nonce = Copied(attest.extraData.buffer, attest.extraData.size);
  out.clock = {attest.clockInfo.clock, attest.clockInfo.resetCount, attest.clockInfo.restartCount,
               attest.clockInfo.safe == TPM2_YES};
  out.firmware_version = attest.firmwareVersion;
  const TPMS_QUOTE_INFO& quote = attest.attested.quote;
  out.selection = FromTss(quote.pcrSelect);
  out.pcr_digest = Copied(quote.pcrDigest.buffer, quote.pcrDigest.size);
  return out;
}

Result<QuoteSignature> ParseQuoteSignature(ByteView bytes) {
  if (bytes.empty()) {  // tpm2-tss would print a message about a missing buffer
    return Malformed(Cause::kEmpty, kSignature, "it is empty");
  }
  TPMT_SIGNATURE signature{};
  size_t end = 0;
  if (Tss2_MU_TPMT_SIGNATURE_Unmarshal(Raw(bytes), bytes.size(), &end, &signature) !=
      TSS2_RC_SUCCESS) {
    return Malformed(Cause::kOutOfRange, kSignature, "a field is cut short or out of range");
  }
  if (end != bytes.size()) {
    return Malformed(Cause::kTrailingBytes, kSignature,
                     fmt::format("{} bytes follow it", bytes.size() - end));
  }
  QuoteSignature out;
  TPMI_ALG_HASH hash = TPM2_ALG_NULL;
  switch (signature.sigAlg) {
    case TPM2_ALG_RSASSA:
    case TPM2_ALG_RSAPSS: {
      const bool pss = signature.sigAlg == TPM2_ALG_RSAPSS;
      out.scheme = pss ? QuoteSignature::Scheme::kRsapss : QuoteSignature::Scheme::kRsassa;
      const TPMS_SIGNATURE_RSA& rsa = pss ? signature.signature.rsapss : signature.signature.rsassa;
      hash = rsa.hash;
      out.rsa = Copied(rsa.sig.buffer, rsa.sig.size);
      break;
    }
    case TPM2_ALG_ECDSA: {
      out.scheme = QuoteSignature::Scheme::kEcdsa;
      const TPMS_SIGNATURE_ECC& ecc = signature.signature.ecdsa;
      hash = ecc.hash;
      out.r = Copied(ecc.signatureR.buffer, ecc.signatureR.size);
      out.s = Copied(ecc.signatureS.buffer, ecc.signatureS.size);
      break;
    }
    default:
      return Malformed(
          Cause::kSignatureScheme, kSignature,
          fmt::format("scheme 0x{:04x} is not RSASSA, RSAPSS or ECDSA", signature.sigAlg));
  }
  const auto known = HashFromTpmAlgId(hash);
  if (!known || *known == HashAlg::kSha1) {
    return Malformed(Cause::kSignatureHash, kSignature,
                     fmt::format("its hash 0x{:04x} is not SHA-256 or better", hash));
  }
  out.hash = *known;
  return out;
}

}  // namespace imasnap
