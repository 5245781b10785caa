// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where the log meets PCR values from outside.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "verify_pass.h"

namespace imasnap {
namespace {

constexpr int kLiveReads = 50;
constexpr std::chrono::milliseconds kBetweenReads(5);

}  // namespace

VerifyPass::Target VerifyPass::ToTarget(const PcrValues& values) {
  Target target;
  for (const auto& [name, pcrs] : values) {
    std::optional<size_t> index;
    if (!pcrs.empty() && NoteBank(name, &index) && index) {
      target[*index] = pcrs;
    }
  }
  return target;
}

// Whether every PCR that the log uses so far has the value, and one at least.
bool VerifyPass::Matches(size_t bank, const std::map<uint32_t, Digest>& pcrs, bool before) const {
  // Nearly always it is the PCR extended last that has another value.
  const auto last = pcrs.find(replay_.last_pcr());
  if (last != pcrs.end() && !before && !(replay_.Value(bank, last->first) == last->second)) {
    return false;
  }
  bool any = false;
  for (const auto& [pcr, value] : pcrs) {
    if (replay_.Used(pcr)) {
      any = true;
      if (!((before ? replay_.ValueBefore(bank, pcr) : replay_.Value(bank, pcr)) == value)) {
        return false;
      }
    }
  }
  return any;
}

void VerifyPass::MatchFixed() {
  if (!fixed_) {
    return;
  }
  bool all = !fixed_->empty();
  for (const auto& [bank, pcrs] : *fixed_) {
    if (Matches(bank, pcrs, false)) {
      bank_matched_[bank] = report_.records;
    } else {
      all = false;
    }
  }
  if (all) {
    report_.matched_record = report_.records;
  }
}

void VerifyPass::NoMatch(const Target& target) {
  for (const auto& [bank, pcrs] : target) {
    if (bank_matched_.contains(bank)) {
      continue;
    }
    for (const auto& [pcr, value] : pcrs) {
      if (replay_.Used(pcr) && !(replay_.Value(bank, pcr) == value)) {
        Finding finding = At(parts_.back(), "");
        finding.record = report_.records;
        finding.bank = HashName(replay_.bank(bank).alg);
        finding.pcr = pcr;
        finding.expected = value.Hex();
        finding.found = replay_.Value(bank, pcr).Hex();
        finding.message = fmt::format(
            "the log of {} records does not replay to {} PCR {}: the PCR is {}, the log gives {}",
            report_.records, finding.bank, pcr, finding.expected, finding.found);
        if (report_.records_before > 0 && !pcrs_->live()) {
          finding.message += fmt::format(
              "; PCRs older than record {}, where the state ends, cannot match without "
              "verifying from the beginning",
              report_.records_before);
        }
        Find(std::move(finding));
        return;
      }
    }
  }
  Finding finding = At(parts_.back(), "the banks match at different records");
  finding.record = report_.records;
  finding.expected = "all banks at one record";
  for (const auto& [bank, record] : bank_matched_) {
    finding.found += fmt::format("{}{} at record {}", finding.found.empty() ? "" : ", ",
                                 HashName(replay_.bank(bank).alg), record);
  }
  Find(std::move(finding));
}

// The kernel appends to its list first and extends then, so the PCRs are those
// of the log as read, of one record less, or of a later record.
Status VerifyPass::MatchLive() {
  Target target;
  for (int i = 0; i < kLiveReads; ++i) {
    if (i > 0) {
      std::this_thread::sleep_for(kBetweenReads);
    }
    std::vector<uint32_t> used = replay_.UsedPcrs();
    std::erase_if(used, [](uint32_t pcr) { return pcr >= kTpmPcrs; });
    IMASNAP_ASSIGN(const PcrValues values, pcrs_->Read(used));
    target = ToTarget(values);
    if (target.empty()) {
      return MakeError(ErrorCode::kCannotCheck, "the TPM has no bank that can be replayed here");
    }
    const auto all = [&](bool before) {
      return std::ranges::all_of(
          target, [&](const auto& bank) { return Matches(bank.first, bank.second, before); });
    };
    while (true) {
      for (const bool before : {false, true}) {
        if (all(before)) {
          report_.matched_record = report_.records - (before ? 1 : 0);
          return {};
        }
      }
      auto record = reader_->Next();
      if (!record.ok()) {
        return std::move(record.error());
      }
      if (*record == nullptr) {
        break;
      }
      IMASNAP_RETURN_IF_ERROR(OnRecord(**record));
      if (report_.finding) {
        return {};
      }
    }
  }
  NoMatch(target);
  return {};
}

Status VerifyPass::Finish() {
  if (pcrs_ != nullptr && !report_.finding) {
    if (quoted_ != nullptr) {
      IMASNAP_RETURN_IF_ERROR(FinishQuoted());
    } else if (pcrs_->live()) {
      IMASNAP_RETURN_IF_ERROR(MatchLive());
    } else if (!report_.matched_record) {
      const bool comparable = std::ranges::any_of(*fixed_, [this](const auto& bank) {
        return std::ranges::any_of(bank.second,
                                   [this](const auto& pcr) { return replay_.Used(pcr.first); });
      });
      if (!comparable) {
        return MakeError(ErrorCode::kCannotCheck,
                         "none of the given PCRs is one that the log extends, in a bank that can "
                         "be replayed here");
      }
      NoMatch(*fixed_);
    }
  }
  for (size_t i = 0; i < replay_.banks(); ++i) {
    BankReport bank;
    bank.name = HashName(replay_.bank(i).alg);
    bank.padded_sha1 = replay_.bank(i).padded_sha1;
    bank.compared = report_.matched_record &&
                    (quoted_ != nullptr
                         ? std::ranges::find(quoted_banks_, std::optional(i)) != quoted_banks_.end()
                         : pcrs_->live() || fixed_->contains(i));
    for (uint32_t pcr : replay_.UsedPcrs()) {
      bank.pcrs.emplace(pcr, replay_.Value(i, pcr));
    }
    report_.banks.push_back(std::move(bank));
  }
  report_.violations = replay_.violations();
  NoteCovered();
  if (report_.matched_record && !report_.finding) {
    report_.checkpoint = covered_;
  }
  return {};
}

}  // namespace imasnap
