// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads the log once with given banks; verify.cc chooses the banks.
#ifndef IMASNAP_VERIFY_VERIFY_PASS_H_
#define IMASNAP_VERIFY_VERIFY_PASS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "log/replay.h"
#include "store/log_parts.h"
#include "verify/checkpoint_tracker.h"
#include "verify/comparison.h"
#include "verify/record_chain.h"
#include "verify/verify.h"

namespace imasnap {

class VerifyPass {
 public:
  // As VerifyLog(). What is passed by pointer or reference must outlive it.
  VerifyPass(const std::vector<LogPart>& parts, Comparison* comparison, Replay replay,
             const VerifyOptions& options)
      : parts_(parts),
        comparison_(comparison),
        options_(options),
        chain_(parts, std::move(replay)),
        checkpoints_(options) {}

  Result<VerifyReport> Run();
  // The banks that an aggregate or the comparison has, and that were not replayed.
  const std::vector<Bank>& missing_banks() const { return chain_.missing_banks(); }

 private:
  Status ReadPart(size_t index);
  Result<bool> ReadNext();
  // The last record at which the log matched.
  std::optional<uint64_t> match() const;
  VerifyReport Report();

  const std::vector<LogPart>& parts_;
  Comparison* const comparison_;
  const VerifyOptions& options_;
  RecordChain chain_;
  CheckpointTracker checkpoints_;
};

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_VERIFY_PASS_H_
