// SPDX-License-Identifier: GPL-2.0-or-later
#include "replay.h"

#include <fmt/format.h>

#include <algorithm>

#include "record_format.h"

namespace imasnap {

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

Result<Replay> Replay::Create(const std::vector<Bank>& banks) {
  Replay replay;
  replay.hasher_index_.fill(-1);
  for (const Bank& bank : banks) {
    IMASNAP_ASSIGN(Hasher hasher, Hasher::Create(bank.alg));
    BankState state{bank, std::move(hasher), {}, {}};
    for (uint32_t pcr = 0; pcr < kMaxPcr; ++pcr) {
      state.pcrs[pcr] = ResetValue(bank.alg, pcr);
    }
    replay.banks_.push_back(std::move(state));
  }
  return replay;
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

Result<Digest> Replay::DigestFor(const Record& record, HashAlg alg) {
  const auto index = static_cast<size_t>(alg);
  if (digest_done_[index]) {
    return digests_[index];
  }
  if (hasher_index_[index] < 0) {
    IMASNAP_ASSIGN(Hasher hasher, Hasher::Create(alg));
    hasher_index_[index] = static_cast<int>(hashers_.size());
    hashers_.push_back(std::move(hasher));
  }
  Hasher& hasher = hashers_[static_cast<size_t>(hasher_index_[index])];
  IMASNAP_ASSIGN(digests_[index], TemplateDigest(record, &hasher));
  digest_done_[index] = true;
  return digests_[index];
}

Status Replay::Add(const Record& record, HashAlg header_alg) {
  digest_done_.fill(false);
  const bool violation = record.IsViolation();
  if (!violation) {
    IMASNAP_ASSIGN(const Digest digest, DigestFor(record, header_alg));
    if (!std::ranges::equal(digest.view(), record.digest)) {
      Error error =
          MakeError(ErrorCode::kMismatch,
                    fmt::format("the {} template digest is not that of the record's "
                                "data: recorded {}, computed {}",
                                HashName(header_alg), ToHex(record.digest), digest.Hex()));
      error.record = record.number;
      error.offset = record.offset;
      error.expected = ToHex(record.digest);
      error.found = digest.Hex();
      return error;
    }
  }
  for (BankState& state : banks_) {
    const size_t size = DigestSize(state.bank.alg);
    Digest extend = Digest::Filled(size, std::byte{0});
    if (violation) {
      const size_t ones = state.bank.unmapped ? size_t{20} : size;
      std::fill_n(extend.bytes.begin(), ones, std::byte{0xff});
    } else {
      const HashAlg alg = state.bank.padded_sha1 ? HashAlg::kSha1 : state.bank.alg;
      IMASNAP_ASSIGN(const Digest digest, DigestFor(record, alg));
      std::copy_n(digest.bytes.begin(), std::min<size_t>(digest.size, size), extend.bytes.begin());
    }
    Digest& value = state.pcrs[record.pcr];
    state.before = value;
    // TPM2_PCR_Extend (TPM 2.0 Part 3): new = H(old || digest).
    state.hasher.Update(value.view());
    state.hasher.Update(extend.view());
    IMASNAP_ASSIGN(value, state.hasher.Finish());
  }
  last_pcr_ = record.pcr;
  used_ |= uint64_t{1} << record.pcr;
  ++records_;
  violations_ += violation ? 1 : 0;
  return {};
}

}  // namespace imasnap
