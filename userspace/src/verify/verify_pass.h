// SPDX-License-Identifier: GPL-2.0-or-later
//
// One pass of verification over the log; verify.cc decides with which banks.
#ifndef IMASNAP_VERIFY_VERIFY_PASS_H_
#define IMASNAP_VERIFY_VERIFY_PASS_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "log/aggregate.h"
#include "log/digest_pipeline.h"
#include "log/replay.h"
#include "verify/verify.h"

namespace imasnap {

// One pass over the log with a given set of banks.
class VerifyPass {
 public:
  VerifyPass(const std::vector<LogPart>& parts, PcrReader* pcrs, Replay replay,
             const VerifyOptions& options)
      : parts_(parts), pcrs_(pcrs), options_(options), replay_(std::move(replay)) {}

  Result<VerifyReport> Run();
  // Banks that an aggregate lists and that were not replayed.
  const std::vector<Bank>& missing_banks() const { return missing_banks_; }

 private:
  struct BankTarget {
    std::map<uint32_t, Digest> pcrs;
    uint64_t mask = 0;  // the same, a bit each
  };
  using Target = std::map<size_t, BankTarget>;  // by the replay's bank

  Status Resume(size_t* first);
  bool CheckPresent();
  Status NoteBoundary(const Record& record);
  void NoteCovered();

  void BeginReading(size_t first);
  Status RunPart(size_t index);
  Status OnRecord(const Record& record);
  Status OnAggregate(const Record& record, bool first_of_part);
  void CheckContinuity(const Record& record, const Aggregate& aggregate, bool first_of_part,
                       const Digest& covered);
  void CheckPcrs(const Record& record, const Aggregate& aggregate);
  void CheckInfo(const Digest& sha256);
  bool NoteBank(const std::string& name, std::optional<size_t>* index);

  Status SetTarget(const PcrValues& values);
  bool Covered() const;
  Error NotCovered() const;
  bool Uses(const BankTarget& target) const { return (replay_.used() & target.mask) != 0; }
  bool Matches(size_t bank, const BankTarget& target, bool before) const;
  void NoteMatch(bool before);
  void MatchFixed();
  // In verify_quote.cc.
  Status BeginQuoted(const QuotedPcrs& quoted);
  bool UsesQuoted(size_t bank, uint32_t pcr) const;
  const Digest& QuotedValue(size_t bank, uint32_t pcr) const;
  Result<bool> MeetsQuoted() const;
  Status MatchQuoted(std::optional<uint32_t> extended);
  Status FinishQuoted();
  Status NoQuotedMatch();
  Status MatchLive();
  void NoMatch();
  void NotePcrs(BankReport* report, size_t bank) const;
  std::vector<BankReport> ReportBanks(bool before) const;
  Status Finish();

  const LogPart& part() const { return parts_[index_]; }
  bool FollowsAnAggregatesSegment() const;
  Finding At(const LogPart& where, std::string message) const;
  Finding At(const Record& record, std::string message) const;
  void Find(Finding finding) {
    if (!report_.finding) {
      report_.finding = std::move(finding);
    }
  }

  const std::vector<LogPart>& parts_;
  PcrReader* pcrs_;
  const VerifyOptions& options_;
  Replay replay_;
  VerifyReport report_;
  std::vector<Bank> missing_banks_;

  size_t index_ = 0;
  std::optional<DigestPipeline> reader_;
  std::optional<Digest> previous_sha256_;  // of the part before
  std::optional<uint64_t> last_attempt_;
  uint64_t first_record_ = 0;         // of the part
  std::optional<size_t> resumed_at_;  // the part that begins where the state ends
  Checkpoint boundary_;               // the last beginning of a part
  Checkpoint covered_;                // the last one that the PCRs cover

  Target target_;                            // PCRs from outside that can be compared
  uint64_t compared_pcrs_ = 0;               // in one of its banks, or quoted; a bit each
  std::map<size_t, uint64_t> bank_matched_;  // fixed PCRs: the last record

  const QuotedPcrs* quoted_ = nullptr;
  std::vector<std::optional<size_t>> quoted_banks_;  // the selection's, in the replay
  bool quoted_meets_ = false;
  std::vector<BankReport> matched_banks_;  // at report_.matched_record
};

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_VERIFY_PASS_H_
