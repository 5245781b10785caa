// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "log/record_format.h"

namespace imasnap {
namespace {

// The algorithm of the digest that the kernel extends the bank with.
HashAlg DigestAlg(const Bank& bank) { return bank.padded_sha1 ? HashAlg::kSha1 : bank.alg; }

}  // namespace

Digest ResetValue(HashAlg alg, uint32_t pcr) {
  const bool ones = pcr >= 17 && pcr <= 22;
  return Digest::Filled(DigestSize(alg), std::byte{ones ? uint8_t{0xff} : uint8_t{0}});
}

std::optional<Bank> BankFromName(std::string_view name) {
  const auto alg = HashFromName(name);
  if (!alg) {
    return std::nullopt;
  }
  const bool unmapped = name.starts_with("tpm_alg_");
  return Bank{.alg = *alg, .padded_sha1 = unmapped, .unmapped = unmapped};
}

Replay::Replay(const std::vector<Bank>& banks) {
  for (const Bank& bank : banks) {
    BankState state{bank, Hasher(bank.alg), {}, {}, 0};
    for (uint32_t pcr = 0; pcr < kMaxPcr; ++pcr) {
      state.pcrs[pcr] = ResetValue(bank.alg, pcr);
    }
    banks_.push_back(std::move(state));
  }
}

void Replay::Resume(const std::vector<std::map<uint32_t, Digest>>& pcrs, uint64_t records,
                    uint64_t violations) {
  for (size_t i = 0; i < banks_.size() && i < pcrs.size(); ++i) {
    for (const auto& [pcr, value] : pcrs[i]) {
      banks_[i].pcrs[pcr] = value;
      used_ |= uint64_t{1} << pcr;
    }
  }
  records_ = records;
  violations_ = violations;
}

const Digest& Replay::ValueBefore(size_t bank, uint32_t pcr) const {
  const BankState& state = banks_[bank];
  return pcr == last_pcr_ ? state.before : state.pcrs[pcr];
}

std::vector<uint32_t> Replay::UsedPcrs() const {
  std::vector<uint32_t> pcrs;
  for (uint32_t pcr = 0; pcr < kMaxPcr; ++pcr) {
    if (Used(pcr)) {
      pcrs.push_back(pcr);
    }
  }
  return pcrs;
}

std::vector<HashAlg> Replay::DigestAlgs(HashAlg header_alg) const {
  std::vector<HashAlg> algs = {header_alg};
  for (const BankState& state : banks_) {
    const HashAlg alg = DigestAlg(state.bank);
    if (std::ranges::find(algs, alg) == algs.end()) {
      algs.push_back(alg);
    }
  }
  return algs;
}

void Replay::PlanFor(HashAlg header_alg) {
  if (planned_ == header_alg) {
    return;
  }
  planned_ = header_alg;
  const std::vector<HashAlg> algs = DigestAlgs(header_alg);
  for (BankState& state : banks_) {
    const auto it = std::ranges::find(algs, DigestAlg(state.bank));
    state.digest_index = static_cast<size_t>(it - algs.begin());
  }
}

Status Replay::Add(const Record& record, HashAlg header_alg, std::span<const Digest> digests) {
  PlanFor(header_alg);
  const bool violation = record.IsViolation();
  if (!violation && !std::ranges::equal(digests[0].view(), record.digest)) {
    Error error =
        MakeError(ErrorCode::kMismatch, Cause::kTemplateDigest,
                  fmt::format("the {} template digest is not that of the record's "
                              "data: recorded {}, computed {}",
                              HashName(header_alg), ToHex(record.digest), digests[0].Hex()));
    error.record = record.number;
    error.offset = record.offset;
    error.expected = ToHex(record.digest);
    error.found = digests[0].Hex();
    return error;
  }
  for (BankState& state : banks_) {
    Extend(&state, record, violation ? nullptr : &digests[state.digest_index]);
  }
  last_pcr_ = record.pcr;
  used_ |= uint64_t{1} << record.pcr;
  ++records_;
  violations_ += violation ? 1 : 0;
  return {};
}

// `digest` is null for a violation.
void Replay::Extend(BankState* state, const Record& record, const Digest* digest) {
  const size_t size = DigestSize(state->bank.alg);
  Digest& value = state->pcrs[record.pcr];
  state->before = value;
  // TPM2_PCR_Extend (TPM 2.0 Part 3): new = H(old || digest).
  std::array<std::byte, 2 * kMaxDigestSize> both{};
  std::copy_n(value.bytes.begin(), size, both.begin());
  const auto extend = both.begin() + static_cast<ptrdiff_t>(size);
  if (digest == nullptr) {
    std::fill_n(extend, state->bank.unmapped ? size_t{20} : size, std::byte{0xff});
  } else {
    std::copy_n(digest->bytes.begin(), std::min<size_t>(digest->size, size), extend);
  }
  state->hasher.Update(ByteView(both).first(2 * size));
  value = state->hasher.Finish();
}

}  // namespace imasnap
