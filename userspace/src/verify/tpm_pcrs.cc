// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/tpm_pcrs.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "log/replay.h"
#include "verify/pcr_target.h"
#include "verify/record_chain.h"

namespace imasnap {
namespace {

constexpr int kReads = 50;
constexpr std::chrono::milliseconds kBetweenReads(5);

std::optional<Match> FindMatch(const PcrTarget& target, const Replay& replay) {
  if (!target.compared().HasAllPcrs(replay)) {
    return std::nullopt;
  }
  for (const bool before : {false, true}) {
    if (std::ranges::all_of(target.banks(), [&](const auto& bank) {
          return target.Matches(replay, bank.first, before);
        })) {
      return target.MatchAt(replay, before);
    }
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<std::string>> TpmPcrs::BankNames() {
  IMASNAP_ASSIGN(const PcrValues values, tpm_->Read({}));
  std::vector<std::string> names;
  for (const auto& [name, pcrs] : values) {
    names.push_back(name);
  }
  return names;
}

Status TpmPcrs::Begin(RecordChain* chain, const std::vector<uint32_t>& ima_pcrs) {
  static_cast<void>(chain);
  ima_pcrs_ = ima_pcrs;
  match_.reset();
  return {};
}

void TpmPcrs::Compare(const RecordChain& chain, std::optional<uint32_t> extended) {
  // The PCRs match the end of the log.
  static_cast<void>(chain);
  static_cast<void>(extended);
}

// The kernel first appends a record to its list and then extends the PCR. So the PCRs
// match the log as it was read, one record less, or a later record.
Status TpmPcrs::Finish(RecordChain* chain, const ReadNext& read_next) {
  const Replay& replay = chain->replay();
  PcrTarget target;
  for (int i = 0; i < kReads; ++i) {
    if (i > 0) {
      std::this_thread::sleep_for(kBetweenReads);
    }
    std::vector<uint32_t> used = replay.UsedPcrs();
    std::erase_if(used, [](uint32_t pcr) { return pcr >= kTpmPcrs; });
    IMASNAP_ASSIGN(const PcrValues values, tpm_->Read(used));
    IMASNAP_ASSIGN(target, PcrTarget::From(values, ima_pcrs_, chain));
    if (target.banks().empty()) {
      return MakeError(ErrorCode::kCannotCheck, Cause::kNothingCompared,
                       "the TPM has no bank that can be replayed here");
    }
    bool more = true;
    while (more) {
      match_ = FindMatch(target, replay);
      if (match_) {
        return {};
      }
      IMASNAP_ASSIGN(more, read_next());
    }
    if (chain->has_finding()) {
      return {};
    }
  }
  if (!target.compared().HasAllPcrs(replay)) {
    return target.compared().MissingPcr(replay);
  }
  chain->AddFinding(
      target.Mismatch(*chain, [](size_t) { return false; })
          .value_or(chain->AtEnd(Cause::kPcrMismatch, "does not replay to the PCRs of the TPM")));
  return {};
}

}  // namespace imasnap
