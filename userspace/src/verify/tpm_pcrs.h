// SPDX-License-Identifier: GPL-2.0-or-later
//
// The PCRs of this machine's TPM, while the kernel continues to measure. They match the
// log's end, or the record before it; they are read again a bounded number of times.
#ifndef IMASNAP_VERIFY_TPM_PCRS_H_
#define IMASNAP_VERIFY_TPM_PCRS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tpm/pcr_values.h"
#include "verify/comparison.h"

namespace imasnap {

class TpmPcrs : public Comparison {
 public:
  // `tpm` must outlive it.
  explicit TpmPcrs(PcrReader* tpm) : tpm_(tpm) {}

  Result<std::vector<std::string>> BankNames() override;
  Status Begin(RecordChain* chain, const std::vector<uint32_t>& ima_pcrs) override;
  void Compare(const RecordChain& chain, std::optional<uint32_t> extended) override;
  Status Finish(RecordChain* chain, const ReadNext& read_next) override;
  const std::optional<Match>& match() const override { return match_; }

 private:
  PcrReader* tpm_;
  std::vector<uint32_t> ima_pcrs_;
  std::optional<Match> match_;
};

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_TPM_PCRS_H_
