// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where the log meets PCR values from outside.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <thread>

#include "tpm/quote_check.h"
#include "verify/verify_pass.h"

namespace imasnap {
namespace {

constexpr int kLiveReads = 50;
constexpr std::chrono::milliseconds kBetweenReads(5);

}  // namespace

Status VerifyPass::SetTarget(const PcrValues& values) {
  target_.clear();
  compared_pcrs_ = 0;
  for (const auto& [name, pcrs] : values) {
    std::optional<size_t> index;
    if (pcrs.empty() || !NoteBank(name, &index) || !index) {
      continue;
    }
    const auto [target, is_new] = target_.emplace(*index, BankTarget{.pcrs = pcrs});
    if (!is_new) {
      return MakeError(ErrorCode::kCannotCheck,
                       fmt::format("the PCRs of bank {} are given again, as {}",
                                   HashName(replay_.bank(*index).alg), name));
    }
    for (const auto& [pcr, value] : pcrs) {
      target->second.mask |= uint64_t{1} << pcr;
    }
    compared_pcrs_ |= target->second.mask;
  }
  return {};
}

// Whether what matches proves every record so far.
bool VerifyPass::Covered() const {
  return (replay_.used() & ~compared_pcrs_) == 0 &&
         std::ranges::all_of(options_.ima_pcrs, [this](uint32_t pcr) { return replay_.Used(pcr); });
}

Error VerifyPass::NotCovered() const {
  for (const uint32_t pcr : options_.ima_pcrs) {
    if (!replay_.Used(pcr)) {
      return MakeError(ErrorCode::kCannotCheck,
                       fmt::format("the log does not extend PCR {}, which IMA measures to; "
                                   "--ima-pcr names those that it must extend",
                                   pcr));
    }
  }
  return MakeError(
      ErrorCode::kCannotCheck,
      fmt::format("the log extends PCR {}, and the PCRs to compare with do not have it "
                  "in a bank that can be replayed here: they do not prove its records",
                  std::countr_zero(replay_.used() & ~compared_pcrs_)));
}

// Whether every PCR that the log uses so far has the value.
bool VerifyPass::Matches(size_t bank, const BankTarget& target, bool before) const {
  // Nearly always it is the PCR extended last that has another value.
  const auto last = target.pcrs.find(replay_.last_pcr());
  if (last != target.pcrs.end() && !before && !(replay_.Value(bank, last->first) == last->second)) {
    return false;
  }
  return std::ranges::all_of(target.pcrs, [&](const auto& given) {
    const auto& [pcr, value] = given;
    return !replay_.Used(pcr) ||
           (before ? replay_.ValueBefore(bank, pcr) : replay_.Value(bank, pcr)) == value;
  });
}

// The log as read, or one record less, agrees with the PCRs from outside.
void VerifyPass::NoteMatch(bool before) {
  report_.matched_record = report_.records - (before ? 1 : 0);
  matched_banks_ = ReportBanks(before);
}

void VerifyPass::MatchFixed() {
  if (target_.empty() || pcrs_->live()) {
    return;
  }
  bool all = Covered();
  for (const auto& [bank, target] : target_) {
    if (!Uses(target)) {
      continue;  // it has nothing to match; that another bank has, Covered() says
    }
    if (Matches(bank, target, false)) {
      bank_matched_[bank] = report_.records;
    } else {
      all = false;
    }
  }
  if (all) {
    NoteMatch(false);
  }
}

void VerifyPass::NoMatch() {
  for (const auto& [bank, target] : target_) {
    if (bank_matched_.contains(bank)) {
      continue;
    }
    for (const auto& [pcr, value] : target.pcrs) {
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
  for (int i = 0; i < kLiveReads; ++i) {
    if (i > 0) {
      std::this_thread::sleep_for(kBetweenReads);
    }
    std::vector<uint32_t> used = replay_.UsedPcrs();
    std::erase_if(used, [](uint32_t pcr) { return pcr >= kTpmPcrs; });
    IMASNAP_ASSIGN(const PcrValues values, pcrs_->Read(used));
    IMASNAP_RETURN_IF_ERROR(SetTarget(values));
    if (target_.empty()) {
      return MakeError(ErrorCode::kCannotCheck, "the TPM has no bank that can be replayed here");
    }
    const auto all = [&](bool before) {
      return Covered() && std::ranges::all_of(target_, [&](const auto& bank) {
               return Matches(bank.first, bank.second, before);
             });
    };
    while (true) {
      for (const bool before : {false, true}) {
        if (all(before)) {
          NoteMatch(before);
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
  if (!Covered()) {
    return NotCovered();
  }
  NoMatch();
  return {};
}

// Which of the PCRs from outside were compared, at a match.
void VerifyPass::NotePcrs(BankReport* report, size_t bank) const {
  const auto note = [&](uint32_t pcr, const Digest* value) {
    if (replay_.Used(pcr)) {
      report->compared.insert(pcr);
    } else if (value != nullptr && !(*value == ResetValue(replay_.bank(bank).alg, pcr))) {
      report->not_replayed.insert(pcr);
    }
  };
  if (quoted_ != nullptr) {
    for (size_t i = 0; i < quoted_banks_.size(); ++i) {
      if (quoted_banks_[i] == bank) {
        const BankSelection& selected = quoted_->selection[i];
        for (const uint32_t pcr : selected.pcrs) {
          note(pcr, FindPcr(quoted_->given, selected.name(), pcr));
        }
      }
    }
  } else if (const auto found = target_.find(bank); found != target_.end()) {
    for (const auto& [pcr, value] : found->second.pcrs) {
      note(pcr, &value);
    }
  }
}

std::vector<BankReport> VerifyPass::ReportBanks(bool before) const {
  std::vector<BankReport> banks;
  for (size_t i = 0; i < replay_.banks(); ++i) {
    BankReport& bank = banks.emplace_back();
    bank.name = HashName(replay_.bank(i).alg);
    bank.padded_sha1 = replay_.bank(i).padded_sha1;
    for (uint32_t pcr : replay_.UsedPcrs()) {
      bank.pcrs.emplace(pcr, before ? replay_.ValueBefore(i, pcr) : replay_.Value(i, pcr));
    }
    if (report_.matched_record) {
      NotePcrs(&bank, i);
    }
  }
  return banks;
}

Status VerifyPass::Finish() {
  if (pcrs_ != nullptr && !report_.finding) {
    if (quoted_ != nullptr) {
      IMASNAP_RETURN_IF_ERROR(FinishQuoted());
    } else if (pcrs_->live()) {
      IMASNAP_RETURN_IF_ERROR(MatchLive());
    } else if (!report_.matched_record) {
      const bool comparable =
          std::ranges::any_of(target_, [this](const auto& bank) { return Uses(bank.second); });
      if (!comparable) {
        return MakeError(ErrorCode::kCannotCheck,
                         "none of the given PCRs is one that the log extends, in a bank that can "
                         "be replayed here");
      }
      if (!Covered()) {
        return NotCovered();
      }
      NoMatch();
    }
  }
  report_.banks = report_.matched_record ? std::move(matched_banks_) : ReportBanks(false);
  report_.violations = replay_.violations();
  NoteCovered();
  if (report_.matched_record && !report_.finding) {
    report_.checkpoint = covered_;
  }
  return {};
}

}  // namespace imasnap
