// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/pcr_target.h"

#include <fmt/format.h>

#include <algorithm>

#include "verify/record_chain.h"

namespace imasnap {

Result<PcrTarget> PcrTarget::From(const PcrValues& values, const std::vector<uint32_t>& ima_pcrs,
                                  RecordChain* chain) {
  PcrTarget target;
  target.compared_ = ComparedPcrs(ima_pcrs);
  for (const auto& [name, pcrs] : values) {
    if (pcrs.empty()) {
      continue;
    }
    const std::optional<size_t> index = chain->FindBank(name);
    if (!index) {
      continue;
    }
    const auto [bank, is_new] = target.banks_.emplace(*index, Bank{.pcrs = pcrs});
    if (!is_new) {
      const std::string given(HashName(chain->replay().bank(*index).alg));
      Error error = MakeError(
          ErrorCode::kCannotCheck, Cause::kDuplicate,
          fmt::format("the PCRs of bank {} are given twice, the second time as {}", given, name));
      error.bank = given;
      error.found = name;
      return error;
    }
    for (const auto& [pcr, value] : pcrs) {
      bank->second.mask |= uint64_t{1} << pcr;
      target.compared_.Add(pcr);
    }
  }
  return target;
}

bool PcrTarget::Matches(const Replay& replay, size_t bank, bool before) const {
  const std::map<uint32_t, Digest>& pcrs = banks_.at(bank).pcrs;
  // Nearly always the PCR that was extended last has another value.
  const auto last = pcrs.find(replay.last_pcr());
  if (last != pcrs.end() && !before && !(replay.Value(bank, last->first) == last->second)) {
    return false;
  }
  return std::ranges::all_of(pcrs, [&](const auto& given) {
    const auto& [pcr, value] = given;
    return !replay.Used(pcr) ||
           (before ? replay.ValueBefore(bank, pcr) : replay.Value(bank, pcr)) == value;
  });
}

Match PcrTarget::MatchAt(const Replay& replay, bool before) const {
  Match match{.record = replay.records() - (before ? 1 : 0), .banks = ReportBanks(replay, before)};
  for (const auto& [bank, given] : banks_) {
    for (const auto& [pcr, value] : given.pcrs) {
      ReportGivenPcr(replay, bank, pcr, &value, &match.banks[bank]);
    }
  }
  return match;
}

std::optional<Finding> PcrTarget::Mismatch(const RecordChain& chain,
                                           const std::function<bool(size_t bank)>& skip) const {
  const Replay& replay = chain.replay();
  for (const auto& [bank, given] : banks_) {
    if (skip(bank)) {
      continue;
    }
    for (const auto& [pcr, value] : given.pcrs) {
      if (replay.Used(pcr) && !(replay.Value(bank, pcr) == value)) {
        Finding finding = chain.AtEnd(Cause::kPcrMismatch, "");
        finding.bank = HashName(replay.bank(bank).alg);
        finding.pcr = pcr;
        finding.expected = value.Hex();
        finding.found = replay.Value(bank, pcr).Hex();
        finding.message = fmt::format(
            "the log of {} records does not replay to {} PCR {}: the PCR is {}, the replay gives "
            "{}",
            replay.records(), finding.bank, pcr, finding.expected, finding.found);
        return finding;
      }
    }
  }
  return std::nullopt;
}

}  // namespace imasnap
