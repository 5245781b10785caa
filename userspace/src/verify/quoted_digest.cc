// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/quoted_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "verify/record_chain.h"

namespace imasnap {

Result<std::vector<std::string>> QuotedDigest::BankNames() {
  std::set<std::string> names;
  for (const auto& [name, pcrs] : quoted_.given) {
    names.insert(name);
  }
  for (const BankSelection& bank : quoted_.selection) {
    names.insert(bank.name());
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Status QuotedDigest::Begin(RecordChain* chain, const std::vector<uint32_t>& ima_pcrs) {
  banks_.clear();
  compared_ = ComparedPcrs(ima_pcrs);
  matches_ = false;
  match_.reset();
  for (size_t i = 0; i < quoted_.selection.size(); ++i) {
    const std::string name = quoted_.selection[i].name();
    const std::optional<size_t> index = chain->FindBank(name);
    banks_.push_back(index);
    for (const uint32_t pcr : quoted_.selection[i].pcrs) {
      if (index) {
        compared_.Add(pcr);
      }
      if (!BankFromName(name) && Given(i, pcr) == nullptr) {
        Error error = MakeError(ErrorCode::kCannotCheck, Cause::kBankNotReplayed,
                                fmt::format("the quote selects {} PCR {}, but bank {} cannot be "
                                            "replayed here: give the values with --pcrs",
                                            name, pcr, name));
        error.bank = name;
        error.pcr = pcr;
        return error;
      }
    }
  }
  return {};
}

bool QuotedDigest::Extends(const Replay& replay, size_t bank, uint32_t pcr) const {
  return banks_[bank] && replay.Used(pcr);
}

const Digest* QuotedDigest::Given(size_t bank, uint32_t pcr) const {
  return FindPcr(quoted_.given, quoted_.selection[bank].name(), pcr);
}

// A PCR that the log does not extend has the given value or, without one, its reset
// value. If that is wrong, the digest differs.
const Digest& QuotedDigest::Value(const Replay& replay, size_t bank, uint32_t pcr) const {
  if (!Extends(replay, bank, pcr)) {
    if (const Digest* given = Given(bank, pcr)) {
      return *given;
    }
  }
  return replay.Value(*banks_[bank], pcr);
}

Digest QuotedDigest::ReplayedDigest(const Replay& replay) const {
  return CompositeDigest(
      quoted_.selection, quoted_.digest_alg,
      [&](size_t bank, uint32_t pcr) -> const Digest& { return Value(replay, bank, pcr); });
}

std::optional<std::pair<size_t, uint32_t>> QuotedDigest::FirstDifference(
    const Replay& replay) const {
  for (size_t i = 0; quoted_.authentic && i < quoted_.selection.size(); ++i) {
    for (const uint32_t pcr : quoted_.selection[i].pcrs) {
      if (Extends(replay, i, pcr) && !(replay.Value(*banks_[i], pcr) == *Given(i, pcr))) {
        return std::pair(i, pcr);
      }
    }
  }
  return std::nullopt;
}

// Authentic values have the digest of the quote, so they can be compared one by one.
bool QuotedDigest::Matches(const Replay& replay) const {
  return quoted_.authentic ? !FirstDifference(replay) : ReplayedDigest(replay) == quoted_.digest;
}

void QuotedDigest::Compare(const RecordChain& chain, std::optional<uint32_t> extended) {
  if (!chain.missing_banks().empty()) {
    return;  // VerifyLog() begins again with them
  }
  const Replay& replay = chain.replay();
  if (!compared_.HasAllPcrs(replay)) {
    matches_ = false;
    return;
  }
  // A PCR that is not selected does not change the result.
  const bool selected =
      !extended || std::ranges::any_of(quoted_.selection, [&](const BankSelection& bank) {
        return bank.pcrs.contains(*extended);
      });
  if (selected) {
    matches_ = Matches(replay);
  }
  if (matches_) {
    match_ = MatchAt(replay);
  }
}

Match QuotedDigest::MatchAt(const Replay& replay) const {
  Match match{.record = replay.records(), .banks = ReportBanks(replay, /*before=*/false)};
  for (size_t i = 0; i < banks_.size(); ++i) {
    for (const uint32_t pcr : quoted_.selection[i].pcrs) {
      if (banks_[i]) {
        ReportGivenPcr(replay, *banks_[i], pcr, Given(i, pcr), &match.banks[*banks_[i]]);
      }
    }
  }
  return match;
}

Status QuotedDigest::Finish(RecordChain* chain, const ReadNext& read_next) {
  static_cast<void>(read_next);
  if (match_ || !chain->missing_banks().empty()) {
    return {};
  }
  const Replay& replay = chain->replay();
  bool any = false;
  for (size_t i = 0; i < quoted_.selection.size(); ++i) {
    for (const uint32_t pcr : quoted_.selection[i].pcrs) {
      const bool extends = Extends(replay, i, pcr);
      any = any || extends;
      if (!extends && Given(i, pcr) == nullptr) {
        Error error =
            MakeError(ErrorCode::kCannotCheck, Cause::kPcrValueNeeded,
                      fmt::format("the quote selects {}, but the log does not extend {} PCR {}: "
                                  "give its value with --pcrs",
                                  ToText(quoted_.selection), quoted_.selection[i].name(), pcr));
        error.bank = quoted_.selection[i].name();
        error.pcr = pcr;
        return error;
      }
    }
  }
  if (!any) {
    return MakeError(ErrorCode::kCannotCheck, Cause::kNothingCompared,
                     fmt::format("the quote selects {}, but the log extends none of them in a bank "
                                 "that can be replayed here",
                                 ToText(quoted_.selection)));
  }
  if (!compared_.HasAllPcrs(replay)) {
    return compared_.MissingPcr(replay);
  }
  chain->AddFinding(NoMatch(*chain));
  return {};
}

// If the values are known, the finding names the bank, and VerifyLog() may try to pad
// the bank as a kernel without its hash does.
Finding QuotedDigest::NoMatch(const RecordChain& chain) const {
  const Replay& replay = chain.replay();
  Finding finding = chain.AtEnd(Cause::kPcrDigest, "");
  std::string what = fmt::format("the digest over {}", ToText(quoted_.selection));
  if (const auto difference = FirstDifference(replay)) {
    finding.cause = Cause::kPcrMismatch;
    const auto& [bank, pcr] = *difference;
    finding.bank = quoted_.selection[bank].name();
    finding.pcr = pcr;
    finding.expected = Given(bank, pcr)->Hex();
    finding.found = replay.Value(*banks_[bank], pcr).Hex();
    what = fmt::format("{} PCR {}", finding.bank, pcr);
  } else {
    finding.expected = quoted_.digest.Hex();
    finding.found = ReplayedDigest(replay).Hex();
  }
  finding.message = fmt::format(
      "the log of {} records does not replay to {} of the quote at any record: the quote is newer "
      "than the log, or of another log (the quote has {}, the end of the log gives {})",
      replay.records(), what, finding.expected, finding.found);
  if (const uint64_t before = chain.report().records_before; before > 0) {
    finding.state_end = before;
    finding.message += fmt::format(
        "; or it is older than record {}, where the state ends, and only matches if you verify "
        "from the beginning",
        before);
  }
  return finding;
}

}  // namespace imasnap
