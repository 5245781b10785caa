// SPDX-License-Identifier: GPL-2.0-or-later
//
// Replays a log: recomputes every template digest and extends PCRs of any
// number of banks as the kernel extended the TPM's.
#ifndef IMASNAP_LOG_REPLAY_H_
#define IMASNAP_LOG_REPLAY_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "log/log_reader.h"

namespace imasnap {

inline constexpr uint32_t kTpmPcrs = 24;

// The value of a PCR after a TPM reset on a PC (PC Client Platform TPM Profile:
// ones for 17 to 22, zeros for the others).
Digest ResetValue(HashAlg alg, uint32_t pcr);

struct Bank {
  HashAlg alg = HashAlg::kSha256;
  // How the kernel extends a bank whose hash it cannot compute: the SHA-1
  // template digest, padded with zeros (ima_calc_field_array_hash()).
  bool padded_sha1 = false;
  // Whether the kernel does not map the bank's algorithm. Then a violation extends only
  // 20 bytes of ones (ima_init_digests()).
  bool unmapped = false;

  bool operator==(const Bank&) const = default;
};

// The bank the kernel calls `name` ("sha256", "tpm_alg_27"); nothing when its
// algorithm is not known here.
std::optional<Bank> BankFromName(std::string_view name);

class Replay {
 public:
  // PCRs start at reset values.
  explicit Replay(const std::vector<Bank>& banks);

  // Continues an earlier replay, given the PCRs that its records extended, for each
  // bank in the order of `banks`, and its counts.
  void Resume(const std::vector<std::map<uint32_t, Digest>>& pcrs, uint64_t records,
              uint64_t violations);

  // Extends the record's PCR in every bank. `header_alg` is the algorithm of the
  // digests in the log's records. `digests` are the record's template digests, in
  // the algorithms and the order of DigestAlgs(); those of a violation are not used.
  // If the digest in the record differs from the first of them, the error is
  // kMismatch with record, offset, expected and found, and nothing is extended.
  Status Add(const Record& record, HashAlg header_alg, std::span<const Digest> digests);
  // The algorithms of the digests that Add() needs: `header_alg`, then those of the
  // banks.
  std::vector<HashAlg> DigestAlgs(HashAlg header_alg) const;

  size_t banks() const { return banks_.size(); }
  const Bank& bank(size_t index) const { return banks_[index].bank; }
  // The PCR (below kMaxPcr) after the last record added.
  const Digest& Value(size_t bank, uint32_t pcr) const { return banks_[bank].pcrs[pcr]; }
  // The same before the last record added: the kernel appends a record to its list
  // before it extends the PCR, so a PCR that is read may lack the last record.
  const Digest& ValueBefore(size_t bank, uint32_t pcr) const;
  // The PCR that the last record extended; kMaxPcr before the first.
  uint32_t last_pcr() const { return last_pcr_; }

  // Whether a record named this PCR.
  bool Used(uint32_t pcr) const { return used_ >> pcr & 1; }
  std::vector<uint32_t> UsedPcrs() const;
  uint64_t used() const { return used_; }  // a bit each
  uint64_t records() const { return records_; }
  uint64_t violations() const { return violations_; }

 private:
  struct BankState {
    Bank bank;
    Hasher hasher;
    std::array<Digest, kMaxPcr> pcrs;
    Digest before;        // of last_pcr_
    size_t digest_index;  // in DigestAlgs(planned_)
  };

  void PlanFor(HashAlg header_alg);
  void Extend(BankState* state, const Record& record, const Digest* digest);

  std::vector<BankState> banks_;
  std::optional<HashAlg> planned_;  // the header's algorithm that digest_index is for
  uint64_t used_ = 0;
  uint64_t records_ = 0;
  uint64_t violations_ = 0;
  uint32_t last_pcr_ = kMaxPcr;
};

}  // namespace imasnap

#endif  // IMASNAP_LOG_REPLAY_H_
