// SPDX-License-Identifier: GPL-2.0-or-later
//
// PCR values in the banks of a replay: what fixed PCRs and those of a TPM share.
#ifndef IMASNAP_VERIFY_PCR_TARGET_H_
#define IMASNAP_VERIFY_PCR_TARGET_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "tpm/pcr_values.h"
#include "verify/comparison.h"

namespace imasnap {

class PcrTarget {
 public:
  struct Bank {
    std::map<uint32_t, Digest> pcrs;
    uint64_t mask = 0;  // the same, a bit each
  };
  using Banks = std::map<size_t, Bank>;  // by the replay's index

  PcrTarget() = default;
  // Leaves out banks that `chain` does not replay. kCannotCheck if a bank is given
  // under two names.
  static Result<PcrTarget> From(const PcrValues& values, const std::vector<uint32_t>& ima_pcrs,
                                RecordChain* chain);

  const Banks& banks() const { return banks_; }
  const ComparedPcrs& compared() const { return compared_; }
  // Whether each PCR of the bank that the log extends has its value, after the last
  // record or `before` it.
  bool Matches(const Replay& replay, size_t bank, bool before) const;
  Match MatchAt(const Replay& replay, bool before) const;
  // The first PCR with another value, in a bank for which `skip` is false.
  std::optional<Finding> Mismatch(const RecordChain& chain,
                                  const std::function<bool(size_t bank)>& skip) const;

 private:
  Banks banks_;
  ComparedPcrs compared_;
};

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_PCR_TARGET_H_
