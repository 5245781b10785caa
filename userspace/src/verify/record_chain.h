// SPDX-License-Identifier: GPL-2.0-or-later
//
// The records of a log as a chain: reads and replays them, checks each aggregate and
// each part's metadata against what was read before, and counts.
#ifndef IMASNAP_VERIFY_RECORD_CHAIN_H_
#define IMASNAP_VERIFY_RECORD_CHAIN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "log/aggregate.h"
#include "log/digest_pipeline.h"
#include "log/replay.h"
#include "store/log_parts.h"
#include "verify/checkpoint.h"
#include "verify/verify.h"

namespace imasnap {

class RecordChain {
 public:
  // `parts` must outlive it.
  RecordChain(const std::vector<LogPart>& parts, Replay replay)
      : parts_(parts), replay_(std::move(replay)) {}

  // Goes past the parts before `first` without reading them. False, with a finding, if
  // one of them is missing.
  bool Skip(size_t first);
  // Continues at `from`, which is the boundary before the part that Skip() went to.
  void Resume(const Checkpoint& from);

  // Before the first part is read, which is the one with this index.
  void BeginReading(size_t first);
  // Goes to the part. False, with a finding, if it is missing.
  bool BeginPart(size_t index);
  // The next record of the part. It follows from those before and is not replayed yet.
  // Null at the part's end, and with a finding.
  Result<const Record*> Next();
  // Whether `record`, which Next() returned, is the first one after a boundary.
  bool IsAtBoundary(const Record& record) const;
  // The boundary before that record, without what identifies the log.
  Checkpoint CheckpointBefore(const Record& record) const;
  // Replays `record`, which Next() returned.
  Status Add(const Record& record);
  // Checks the part against its metadata, after its last record.
  void EndPart();

  // The index in the replay of a bank that something else has values of. Nothing for a
  // bank that is not replayed: it becomes one of missing_banks() or unchecked_banks.
  std::optional<size_t> FindBank(const std::string& name);
  const std::vector<Bank>& missing_banks() const { return missing_banks_; }

  // The number of the first record of the kernel after a kexec that lost records.
  const std::optional<uint64_t>& lost_at_kexec() const { return lost_at_kexec_; }

  // The first finding counts; later ones are dropped.
  void AddFinding(Finding finding);
  // The part cannot be parsed after the last record.
  void AddMalformed(const Error& error);
  bool has_finding() const { return report_.finding.has_value(); }
  // A finding at the whole log's last record.
  Finding AtEnd(Cause cause, std::string message) const;

  const Replay& replay() const { return replay_; }
  // Without what comes from a comparison or a checkpoint.
  const VerifyReport& report() const { return report_; }

 private:
  const LogPart& part() const { return parts_[index_]; }
  Finding AtRecord(const Record& record, Cause cause, std::string message) const;
  bool CheckPresent();
  bool MustBeginWithAggregate() const;
  Status CheckRecord(const Record& record);
  void FollowKexec(const Record& record);
  Status CheckAggregate(const Record& record, bool first_of_part);
  // The parts of CheckAggregate(); `hashed` is the SHA-256 of the bytes that the
  // aggregate closes.
  void CheckContinuity(const Record& record, const Aggregate& aggregate, bool first_of_part,
                       const Digest& hashed);
  void CheckPcrs(const Record& record, const Aggregate& aggregate);
  void CheckPcr(const Record& record, const Aggregate& aggregate,
                const Aggregate::BankValues& listed, size_t bank, uint32_t pcr);
  void CheckInfo(const Digest& sha256);

  const std::vector<LogPart>& parts_;
  Replay replay_;
  VerifyReport report_;
  std::vector<Bank> missing_banks_;

  size_t index_ = 0;  // of the part
  std::optional<DigestPipeline> reader_;
  std::optional<Digest> sha256_;           // of the part, once its end was read
  std::optional<Digest> previous_sha256_;  // of the part before
  std::optional<uint64_t> last_attempt_;
  uint64_t first_record_ = 0;  // of the part
  bool kexec_loaded_ = false;  // and not executed
  std::optional<uint64_t> lost_at_kexec_;
  std::optional<size_t> resumed_at_;  // the part that begins at the state's boundary
};

// A finding about the whole part.
Finding AtPart(const LogPart& part, Cause cause, std::string message);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_RECORD_CHAIN_H_
