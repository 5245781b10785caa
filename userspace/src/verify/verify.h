// SPDX-License-Identifier: GPL-2.0-or-later
//
// Verifies a stitched log: every record, every aggregate, every bank, and in
// the end PCR values from outside.
#ifndef IMASNAP_VERIFY_VERIFY_H_
#define IMASNAP_VERIFY_VERIFY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/progress.h"
#include "base/result.h"
#include "store/log_parts.h"
#include "tpm/pcr_values.h"
#include "verify/checkpoint.h"

namespace imasnap {

// The first thing that disagrees.
struct Finding {
  std::string file;
  uint64_t segment = 0;                    // 0: the kernel's list
  std::optional<uint64_t> record;          // since cold boot, from 1
  std::optional<uint64_t> record_in_file;  // from 1
  std::optional<uint64_t> offset;          // in the file
  std::string bank;                        // empty: no bank is at odds
  std::optional<uint32_t> pcr;
  std::string expected;
  std::string found;
  std::string message;

  Error ToError() const;
};

struct BankReport {
  std::string name;
  bool padded_sha1 = false;
  // As replayed, those the log uses: at the matched record, else at the log's end.
  std::map<uint32_t, Digest> pcrs;
  std::set<uint32_t> compared;  // of these, with values from outside
  // Given from outside, not at their reset value, and extended by no record up to
  // the matched one: the log says nothing about them.
  std::set<uint32_t> not_replayed;
};

struct VerifyReport {
  std::optional<Finding> finding;  // nothing: the log is good
  uint64_t records = 0;
  uint64_t records_before = 0;  // of these, taken from the state and not read
  uint64_t live_records = 0;
  uint64_t segments = 0;
  uint64_t aggregates = 0;
  uint64_t violations = 0;
  uint64_t pcr_checks = 0;  // values in aggregates that were compared
  // Segments after which the log goes on without an aggregate, as staging has it:
  // without PCRs from outside nothing tells that no record is missing there.
  uint64_t unchained = 0;
  std::vector<BankReport> banks;
  std::set<std::string> unchecked_banks;  // their hash is not available here
  // The record after which the log agrees with the PCRs from outside.
  std::optional<uint64_t> matched_record;
  // Where the next run may go on: the last beginning of a part that the PCRs from
  // outside cover. Nothing without such PCRs, or with a finding.
  std::optional<Checkpoint> checkpoint;
};

// CONFIG_IMA_MEASURE_PCR_IDX's default.
inline constexpr uint32_t kImaPcr = 10;

struct VerifyOptions {
  // Go on from here; nothing before it is read. `state_file` is the name that
  // errors about it give.
  const Checkpoint* from = nullptr;
  std::string state_file{};
  // The PCR that the kernel measures to where no rule says otherwise, and those
  // that rules name. A log that does not extend each of them, or PCRs from outside
  // without one, prove nothing.
  std::vector<uint32_t> ima_pcrs = {kImaPcr};
  LogIdentity identity{};  // of the log
  Progress progress{};
};

// `pcrs` may be null: then the log is only checked against itself. Live PCRs
// are read again a bounded number of times while the last part grows; fixed
// ones may match anywhere in the log that is read. They match a log of which they
// cover each PCR, in one bank at least: the number of a record's PCR is no part of
// its digest, so that any record can be claimed to be of a PCR that nobody looks at.
// An error (not a finding) means that it could not be checked.
Result<VerifyReport> VerifyLog(const std::vector<LogPart>& parts, PcrReader* pcrs,
                               const VerifyOptions& options = {});

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_VERIFY_H_
