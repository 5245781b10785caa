// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm/quote.h"

#include <endian.h>
#include <fmt/format.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

#include <algorithm>

#include "tpm/tpm_selection.h"

namespace imasnap {
namespace {

constexpr int kQuotes = 20;
constexpr size_t kDigestsAList = std::size(TPML_DIGEST{}.digests);

Status CheckSelectable(const PcrSelection& selection, const PcrSelection& allocated) {
  for (const BankSelection& bank : selection) {
    const auto active = std::ranges::find(allocated, bank.tpm_alg, &BankSelection::tpm_alg);
    if (active == allocated.end()) {
      return MakeError(
          ErrorCode::kUsage, Cause::kPcrNotAllocated,
          fmt::format("the TPM has no active bank {}: it has {}", bank.name(), ToText(allocated)));
    }
    for (const uint32_t pcr : bank.pcrs) {
      if (!active->pcrs.contains(pcr)) {
        return MakeError(ErrorCode::kUsage, Cause::kPcrNotAllocated,
                         fmt::format("the TPM's bank {} has no PCR {}", bank.name(), pcr));
      }
    }
  }
  return {};
}

PcrValues Selected(const PcrValues& all, const PcrSelection& selection) {
  PcrValues values;
  for (const BankSelection& bank : selection) {
    for (const uint32_t pcr : bank.pcrs) {
      if (const Digest* value = FindPcr(all, bank.name(), pcr)) {
        values[bank.name()][pcr] = *value;
      }
    }
  }
  return values;
}

Status Sign(const TpmContext& tpm, const TransientObject& key, ByteView nonce,
            const PcrSelection& selection, Quote* quote) {
  const auto data = SizedBuffer<TPM2B_DATA>(nonce);
  const TPMT_SIG_SCHEME keys_own{.scheme = TPM2_ALG_NULL, .details = {}};
  const TPML_PCR_SELECTION pcrs = ToTss(selection);
  TPM2B_ATTEST* message_raw = nullptr;
  TPMT_SIGNATURE* signature_raw = nullptr;
  const TSS2_RC rc =
      Esys_Quote(tpm.esys(), key.handle(), ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data,
                 &keys_own, &pcrs, &message_raw, &signature_raw);
  const EsysPtr<TPM2B_ATTEST> message(message_raw);
  const EsysPtr<TPMT_SIGNATURE> signature(signature_raw);
  if (rc != TSS2_RC_SUCCESS) {
    Error error = TpmError("TPM2_Quote", rc);
    if (IsTpmRc(rc, TPM2_RC_SIZE)) {
      error.code = ErrorCode::kUsage;
      error.message += fmt::format(": this TPM does not accept a nonce of {} bytes", nonce.size());
    }
    return error;
  }
  const ByteView raw = std::as_bytes(std::span(message->attestationData, size_t{message->size}));
  quote->message.assign(raw.begin(), raw.end());
  IMASNAP_ASSIGN(quote->signature, Marshalled(*signature, Tss2_MU_TPMT_SIGNATURE_Marshal));
  IMASNAP_ASSIGN(quote->attestation, ParseAttestation(quote->message));
  return {};
}

}  // namespace

PcrSelection SelectInAllBanks(const PcrSelection& allocated, const std::set<uint32_t>& pcrs) {
  PcrSelection selection;
  for (const BankSelection& bank : allocated) {
    BankSelection selected{bank.tpm_alg, {}};
    std::ranges::set_intersection(bank.pcrs, pcrs,
                                  std::inserter(selected.pcrs, selected.pcrs.end()));
    if (!selected.pcrs.empty()) {
      selection.push_back(std::move(selected));
    }
  }
  return selection;
}

Result<Quote> MakeQuote(Tpm& tpm, const Ak& ak, ByteView nonce, const PcrSelection& selection) {
  if (nonce.empty() || nonce.size() > kMaxNonce) {
    return MakeError(
        ErrorCode::kUsage, Cause::kWrongLength,
        fmt::format("the nonce has {} bytes; it must have 1 to {}", nonce.size(), kMaxNonce));
  }
  IMASNAP_ASSIGN(const PcrSelection allocated, tpm.Allocated());
  IMASNAP_RETURN_IF_ERROR(CheckSelectable(selection, allocated));
  std::vector<uint32_t> pcrs;
  for (const BankSelection& bank : selection) {
    pcrs.insert(pcrs.end(), bank.pcrs.begin(), bank.pcrs.end());
  }
  IMASNAP_ASSIGN(const TransientObject key, LoadAk(tpm, ak));
  Quote quote;
  for (int i = 0; i < kQuotes; ++i) {
    IMASNAP_ASSIGN(const PcrValues all, tpm.Read(pcrs));
    quote.values = Selected(all, selection);
    IMASNAP_RETURN_IF_ERROR(Sign(tpm.context(), key, nonce, selection, &quote));
    if (quote.attestation.selection != selection || !HasAll(quote.values, selection)) {
      return MakeError(ErrorCode::kCannotCheck,
                       fmt::format("TPM: quoted {} instead of {}",
                                   ToText(quote.attestation.selection), ToText(selection)));
    }
    IMASNAP_ASSIGN(const QuoteSignature signature, ParseQuoteSignature(quote.signature));
    const Digest digest =
        CompositeDigest(selection, signature.hash, [&](size_t bank, uint32_t pcr) -> const Digest& {
          return *FindPcr(quote.values, selection[bank].name(), pcr);
        });
    if (std::ranges::equal(digest.view(), quote.attestation.pcr_digest)) {
      return quote;
    }
  }
  return MakeError(ErrorCode::kCannotCheck,
                   "TPM: PCRs are extended too often to read and quote the same values");
}

Bytes ToCheckquoteFormat(const PcrSelection& selection, const PcrValues& values) {
  std::vector<TPML_DIGEST> lists;
  for (const BankSelection& bank : selection) {
    for (const uint32_t pcr : bank.pcrs) {
      const Digest* value = FindPcr(values, bank.name(), pcr);
      if (value == nullptr) {
        continue;
      }
      if (lists.empty() || lists.back().count == kDigestsAList) {
        lists.emplace_back();
      }
      lists.back().digests[lists.back().count++] = SizedBuffer<TPM2B_DIGEST>(value->view());
    }
  }
  TPML_PCR_SELECTION banks = ToTss(selection);
  for (TPMS_PCR_SELECTION& bank : banks.pcrSelections) {
    bank.hash = htole16(bank.hash);
  }
  banks.count = htole32(banks.count);
  for (TPML_DIGEST& list : lists) {
    for (TPM2B_DIGEST& digest : list.digests) {
      digest.size = htole16(digest.size);
    }
    list.count = htole32(list.count);
  }
  Bytes out;
  AppendBytes(std::as_bytes(std::span(&banks, 1)), &out);
  AppendU32(static_cast<uint32_t>(lists.size()), ByteOrder::kLittle, &out);
  AppendBytes(std::as_bytes(std::span(lists)), &out);
  return out;
}

std::string ToPcrText(const PcrValues& values) {
  std::string text;
  for (const auto& [bank, pcrs] : values) {
    text += fmt::format("  {}:\n", bank);
    for (const auto& [pcr, value] : pcrs) {
      text += fmt::format("    {:<2}: 0x{}\n", pcr, ToHexUpper(value.view()));
    }
  }
  return text;
}

}  // namespace imasnap
