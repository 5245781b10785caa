// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm/quote_check.h"

#include <fmt/format.h>

#include <algorithm>

namespace imasnap {
namespace {

// A malformed quote is a mismatch.
template <typename T>
Result<T> OrMismatch(Result<T> result, const std::string& file) {
  if (!result.ok()) {
    Error error = std::move(result.error());
    error.file = file;
    if (error.code == ErrorCode::kMalformed) {
      error.code = ErrorCode::kMismatch;
    }
    return error;
  }
  return result;
}

// A bank that the kernel does not map also has the name of its algorithm.
bool IsNameOf(const BankSelection& bank, const std::string& name) {
  const auto alg = HashFromName(name);
  return name == bank.name() || (alg && TpmAlgId(*alg) == bank.tpm_alg);
}

}  // namespace

Result<CheckedQuote> CheckQuote(const QuoteEvidence& evidence) {
  auto ak = AttestationKey::Parse(evidence.ak.bytes);
  if (!ak.ok()) {
    return FileError(ErrorCode::kCannotCheck, ak.error().cause, evidence.ak.file,
                     ak.error().message);
  }
  IMASNAP_ASSIGN(
      const QuoteSignature signature,
      OrMismatch(ParseQuoteSignature(evidence.signature.bytes), evidence.signature.file));
  const Status verified = ak->Verify(evidence.message.bytes, signature);
  if (!verified.ok()) {
    return FileError(
        verified.error().code, verified.error().cause, evidence.signature.file,
        fmt::format("{} ({}, AK {}, whose key has SHA-256 {})", verified.error().message,
                    evidence.message.file, evidence.ak.file, ak->id()));
  }
  CheckedQuote quote;
  IMASNAP_ASSIGN(quote.attestation,
                 OrMismatch(ParseAttestation(evidence.message.bytes), evidence.message.file));
  const Attestation& attestation = quote.attestation;
  if (attestation.nonce != evidence.nonce) {
    Error error =
        FileError(ErrorCode::kMismatch, Cause::kNonce, evidence.message.file,
                  fmt::format("answers another challenge: its nonce is {}, but {} was expected",
                              ToHex(attestation.nonce), ToHex(evidence.nonce)));
    error.expected = ToHex(evidence.nonce);
    error.found = ToHex(attestation.nonce);
    return error;
  }
  if (attestation.pcr_digest.size() != DigestSize(signature.hash)) {
    return FileError(ErrorCode::kMismatch, Cause::kWrongLength, evidence.message.file,
                     fmt::format("has a digest of {} bytes over the PCRs, {} has {}",
                                 attestation.pcr_digest.size(), HashName(signature.hash),
                                 DigestSize(signature.hash)));
  }
  quote.digest_alg = signature.hash;
  quote.ak_name = ak->tpm_name();
  quote.ak_id = ak->id();
  return quote;
}

Status CheckSameBoot(const CheckedQuote& quote, uint32_t log_reset_count) {
  const uint32_t count = quote.attestation.clock.reset_count;
  if (count == log_reset_count) {
    return {};
  }
  Error error = MakeError(
      ErrorCode::kMismatch, Cause::kOtherBoot,
      fmt::format("the quote is from another boot: its resetCount is {}, that of the log is {} (if "
                  "the key is outside the endorsement hierarchy, which hides the count, or after "
                  "TPM2_Clear, which sets it to zero, give --ignore-reset-count)",
                  count, log_reset_count));
  error.expected = std::to_string(log_reset_count);
  error.found = std::to_string(count);
  return error;
}

Result<QuotedPcrs> PcrsOf(const CheckedQuote& quote, const PcrValues& given) {
  QuotedPcrs out;
  out.selection = quote.attestation.selection;
  out.digest_alg = quote.digest_alg;
  out.digest = Digest::From(quote.attestation.pcr_digest);
  for (const BankSelection& bank : out.selection) {
    for (const auto& [name, values] : given) {
      if (!IsNameOf(bank, name)) {
        continue;
      }
      for (const auto& [pcr, value] : values) {
        if (bank.pcrs.contains(pcr)) {
          out.given[bank.name()].emplace(pcr, value);
        }
      }
    }
  }
  if (!given.empty() && HasAll(out.given, out.selection)) {
    const Digest digest = CompositeDigest(
        out.selection, out.digest_alg, [&out](size_t bank, uint32_t pcr) -> const Digest& {
          return *FindPcr(out.given, out.selection[bank].name(), pcr);
        });
    if (!(digest == out.digest)) {
      return MakeError(ErrorCode::kMismatch, Cause::kPcrValues,
                       fmt::format("the given PCR values are not those that were quoted: the "
                                   "digest over {} is {} in the quote, that of the values is {}",
                                   ToText(out.selection), out.digest.Hex(), digest.Hex()));
    }
    out.authentic = true;
  }
  return out;
}

}  // namespace imasnap
