// SPDX-License-Identifier: GPL-2.0-or-later
//
// Verifies a whole log: every record, every aggregate and every bank, and then
// PCRs that do not come from the log.
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
#include "verify/checkpoint.h"

namespace imasnap {

class Comparison;

// The first thing that disagrees.
struct Finding {
  Cause cause = Cause::kOther;
  std::string file;
  uint64_t segment = 0;                    // 0: the kernel's list
  std::optional<uint64_t> record;          // since cold boot, from 1
  std::optional<uint64_t> record_in_file;  // from 1
  std::optional<uint64_t> offset;          // in the file
  std::string bank;                        // empty: the finding is not about a bank
  std::optional<uint32_t> pcr;
  std::string expected;
  std::string found;
  // PCRs of before this record cannot match: the verification began there, with a state.
  std::optional<uint64_t> state_end;
  // PCRs after this record cannot match: a kexec lost records before it.
  std::optional<uint64_t> lost_at_kexec;
  bool tpm_restarted = false;  // since the log began, so the PCRs cannot match
  std::string message;

  Error ToError() const;
};

struct BankReport {
  std::string name;
  bool padded_sha1 = false;
  // As replayed, those that the log extends: at the match, else at the log's end.
  std::map<uint32_t, Digest> pcrs;
  std::set<uint32_t> compared;  // of these, the ones that were compared
  // PCRs to compare with that have no reset value and that no record up to the match
  // extends: the log says nothing about them.
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
  uint64_t undecoded = 0;   // records of templates that are not known: replayed like others
  uint64_t pcr_checks = 0;  // values in aggregates that were compared
  // Segments that no aggregate follows, as with staging. A record that is missing
  // there is only detected by comparing with PCRs.
  uint64_t unchained = 0;
  std::vector<BankReport> banks;
  std::set<std::string> unchecked_banks;  // their hash is not available here
  // The last record after which the log has the PCRs that it is compared with.
  std::optional<uint64_t> matched_record;
  // Where the next verification may begin: the last boundary that is not after the
  // match. Nothing without a match, or with a finding.
  std::optional<Checkpoint> checkpoint;
};

// CONFIG_IMA_MEASURE_PCR_IDX's default.
inline constexpr uint32_t kImaPcr = 10;

struct VerifyOptions {
  // Begin here and read nothing before. `state_file` is its name in errors.
  const Checkpoint* from = nullptr;
  std::string state_file{};
  // The PCR that the kernel measures to if no rule names another, and those that
  // rules name. Nothing is proven if the log does not extend one of them, or if one
  // is not compared. If empty, those that the log extends: that is for the owner of
  // the machine, because who can change the log chooses them.
  std::vector<uint32_t> ima_pcrs = {kImaPcr};
  LogIdentity identity{};  // of the log
  Progress progress{};
};

// `comparison` may be null: then the log is only checked against itself. An error (not
// a finding) means that the log could not be checked.
Result<VerifyReport> VerifyLog(const std::vector<LogPart>& parts, Comparison* comparison,
                               const VerifyOptions& options = {});

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_VERIFY_H_
