// SPDX-License-Identifier: GPL-2.0-or-later
//
// Begins a verification at a state, and tracks where the next one may begin.
#ifndef IMASNAP_VERIFY_CHECKPOINT_TRACKER_H_
#define IMASNAP_VERIFY_CHECKPOINT_TRACKER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "log/log_reader.h"
#include "store/log_parts.h"
#include "verify/checkpoint.h"
#include "verify/record_chain.h"
#include "verify/verify.h"

namespace imasnap {

class CheckpointTracker {
 public:
  // `options` must outlive it.
  explicit CheckpointTracker(const VerifyOptions& options) : options_(options) {}

  // Brings `chain` to options.from. Returns the index of the first part to read, which
  // is 0 without such a state. Segments of the state that are missing are a finding.
  Result<size_t> Resume(const std::vector<LogPart>& parts, RecordChain* chain);
  // `record` is the first one after a boundary, and not replayed yet. `match` is the
  // last record at which the log matched so far.
  void AddBoundary(const RecordChain& chain, const Record& record, std::optional<uint64_t> match);
  // The last boundary that is not after `match`.
  const Checkpoint& LastMatched(uint64_t match);

 private:
  void KeepIfMatched(std::optional<uint64_t> match);

  const VerifyOptions& options_;
  Checkpoint boundary_;            // the last one
  Checkpoint matched_checkpoint_;  // the last one that is not after the match
};

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_CHECKPOINT_TRACKER_H_
