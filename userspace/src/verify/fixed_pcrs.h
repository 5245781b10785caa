// SPDX-License-Identifier: GPL-2.0-or-later
//
// Given PCR values. The log may match at any record that is read.
#ifndef IMASNAP_VERIFY_FIXED_PCRS_H_
#define IMASNAP_VERIFY_FIXED_PCRS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tpm/pcr_values.h"
#include "verify/comparison.h"
#include "verify/pcr_target.h"

namespace imasnap {

class FixedPcrs : public Comparison {
 public:
  explicit FixedPcrs(PcrValues values) : values_(std::move(values)) {}

  Result<std::vector<std::string>> BankNames() override;
  Status Begin(RecordChain* chain, const std::vector<uint32_t>& ima_pcrs) override;
  void Compare(const RecordChain& chain, std::optional<uint32_t> extended) override;
  Status Finish(RecordChain* chain, const ReadNext& read_next) override;
  const std::optional<Match>& match() const override { return match_; }

 private:
  Finding NoMatch(const RecordChain& chain) const;

  PcrValues values_;
  PcrTarget target_;
  std::map<size_t, uint64_t> bank_matches_;  // the last record at which the bank matched
  std::optional<Match> match_;
};

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_FIXED_PCRS_H_
