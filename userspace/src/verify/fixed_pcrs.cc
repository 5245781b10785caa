// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/fixed_pcrs.h"

#include <fmt/format.h>

#include <algorithm>

#include "verify/record_chain.h"

namespace imasnap {
namespace {

// Whether the log extends a PCR of the bank.
bool Extends(const Replay& replay, const PcrTarget::Bank& bank) {
  return (replay.used() & bank.mask) != 0;
}

}  // namespace

Result<std::vector<std::string>> FixedPcrs::BankNames() {
  std::vector<std::string> names;
  for (const auto& [name, pcrs] : values_) {
    names.push_back(name);
  }
  return names;
}

Status FixedPcrs::Begin(RecordChain* chain, const std::vector<uint32_t>& ima_pcrs) {
  bank_matches_.clear();
  match_.reset();
  IMASNAP_ASSIGN(target_, PcrTarget::From(values_, ima_pcrs, chain));
  return {};
}

void FixedPcrs::Compare(const RecordChain& chain, std::optional<uint32_t> extended) {
  static_cast<void>(extended);
  const Replay& replay = chain.replay();
  bool all = !target_.banks().empty() && target_.compared().HasAllPcrs(replay);
  for (const auto& [bank, given] : target_.banks()) {
    if (!Extends(replay, given)) {
      continue;  // HasAllPcrs() checks that another bank has the log's PCRs
    }
    if (target_.Matches(replay, bank, /*before=*/false)) {
      bank_matches_[bank] = replay.records();
    } else {
      all = false;
    }
  }
  if (all) {
    match_ = target_.MatchAt(replay, /*before=*/false);
  }
}

Status FixedPcrs::Finish(RecordChain* chain, const ReadNext& read_next) {
  static_cast<void>(read_next);
  if (match_) {
    return {};
  }
  const Replay& replay = chain->replay();
  if (std::ranges::none_of(target_.banks(),
                           [&](const auto& bank) { return Extends(replay, bank.second); })) {
    return MakeError(ErrorCode::kCannotCheck, Cause::kNothingCompared,
                     "the log extends none of the given PCRs in a bank that can be replayed here");
  }
  if (!target_.compared().HasAllPcrs(replay)) {
    return target_.compared().MissingPcr(replay);
  }
  chain->AddFinding(NoMatch(*chain));
  return {};
}

Finding FixedPcrs::NoMatch(const RecordChain& chain) const {
  const auto matched = [this](size_t bank) { return bank_matches_.contains(bank); };
  if (auto finding = target_.Mismatch(chain, matched)) {
    if (const uint64_t before = chain.report().records_before; before > 0) {
      finding->state_end = before;
      finding->message += fmt::format(
          "; if the PCRs are older than record {}, where the state ends, they only match if you "
          "verify from the beginning",
          before);
    }
    return std::move(*finding);
  }
  Finding finding = chain.AtEnd(Cause::kBanksDisagree, "the banks match at different records");
  finding.expected = "all banks at one record";
  for (const auto& [bank, record] : bank_matches_) {
    finding.found += fmt::format("{}{} at record {}", finding.found.empty() ? "" : ", ",
                                 HashName(chain.replay().bank(bank).alg), record);
  }
  return finding;
}

}  // namespace imasnap
