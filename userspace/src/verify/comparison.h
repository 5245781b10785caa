// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a log is compared with: fixed PCR values (fixed_pcrs.h), the PCRs of this
// machine's TPM (tpm_pcrs.h), or a quote (quoted_digest.h).
//
// The log matches only if the comparison has each PCR that the log extends, in one
// bank at least: a record's digest does not cover the number of its PCR, so any
// record could be moved to a PCR that is not compared.
#ifndef IMASNAP_VERIFY_COMPARISON_H_
#define IMASNAP_VERIFY_COMPARISON_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "log/replay.h"
#include "verify/verify.h"

namespace imasnap {

class RecordChain;

// The log up to and with `record` has the PCRs that it is compared with.
struct Match {
  uint64_t record = 0;
  std::vector<BankReport> banks;  // there
};

class Comparison {
 public:
  // Reads and replays one more record. False if there is none, or if it is a finding.
  using ReadNext = std::function<Result<bool>()>;

  virtual ~Comparison() = default;

  // The kernel's names of the banks to replay.
  virtual Result<std::vector<std::string>> BankNames() = 0;
  // Called before the first record, and again if VerifyLog() reads the log again with
  // other banks. `ima_pcrs` as in VerifyOptions.
  virtual Status Begin(RecordChain* chain, const std::vector<uint32_t>& ima_pcrs) = 0;
  // Compares with the log up to the last record. `extended` is the PCR that changed
  // since the last call; without it any PCR may have changed.
  virtual void Compare(const RecordChain& chain, std::optional<uint32_t> extended) = 0;
  // Called at the end of a log without a finding. If the log does not match, that is a
  // finding of `chain`; if it cannot match, the error says why.
  virtual Status Finish(RecordChain* chain, const ReadNext& read_next) = 0;
  // The last match.
  virtual const std::optional<Match>& match() const = 0;
};

// Which PCRs are compared.
class ComparedPcrs {
 public:
  explicit ComparedPcrs(std::vector<uint32_t> ima_pcrs = {}) : ima_pcrs_(std::move(ima_pcrs)) {}

  void Add(uint32_t pcr) { pcrs_ |= uint64_t{1} << pcr; }
  // Whether a match would prove all records so far.
  bool HasAllPcrs(const Replay& replay) const;
  // kCannotCheck, with the reason, if it would not.
  Error MissingPcr(const Replay& replay) const;

 private:
  std::vector<uint32_t> ima_pcrs_;
  uint64_t pcrs_ = 0;  // a bit each
};

// The banks after the last record, or `before` it.
std::vector<BankReport> ReportBanks(const Replay& replay, bool before);
// Notes in `report`, of the replay's bank with this index, that the PCR was given for
// comparison. Its value may be unknown (null).
void ReportGivenPcr(const Replay& replay, size_t bank, uint32_t pcr, const Digest* value,
                    BankReport* report);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_COMPARISON_H_
