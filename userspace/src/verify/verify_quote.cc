// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where the log meets the digest over PCRs that a quote has.
#include <fmt/format.h>

#include <algorithm>

#include "tpm/quote_check.h"
#include "verify/verify_pass.h"

namespace imasnap {

Status VerifyPass::BeginQuoted(const QuotedPcrs& quoted) {
  quoted_ = &quoted;
  for (size_t i = 0; i < quoted.selection.size(); ++i) {
    const BankSelection& bank = quoted.selection[i];
    std::optional<size_t> index;
    const bool replayed = NoteBank(bank.name(), &index);
    quoted_banks_.push_back(index);
    for (const uint32_t pcr : bank.pcrs) {
      if (index) {
        compared_pcrs_ |= uint64_t{1} << pcr;
      }
      if (!replayed && FindPcr(quoted.given, bank.name(), pcr) == nullptr) {
        return MakeError(ErrorCode::kCannotCheck,
                         fmt::format("the quote selects {} PCR {}, and bank {} cannot be replayed "
                                     "here: give the values with --pcrs",
                                     bank.name(), pcr, bank.name()));
      }
    }
  }
  return {};
}

bool VerifyPass::UsesQuoted(size_t bank, uint32_t pcr) const {
  return quoted_banks_[bank] && replay_.Used(pcr);
}

// A PCR that the log does not extend has the value given or, failing that, the
// one after a reset: wrong guesses do not have the digest.
const Digest& VerifyPass::QuotedValue(size_t bank, uint32_t pcr) const {
  if (!UsesQuoted(bank, pcr)) {
    const Digest* given = FindPcr(quoted_->given, quoted_->selection[bank].name(), pcr);
    if (given != nullptr) {
      return *given;
    }
  }
  return replay_.Value(*quoted_banks_[bank], pcr);
}

Result<bool> VerifyPass::MeetsQuoted() const {
  for (size_t i = 0; i < quoted_->selection.size(); ++i) {
    const BankSelection& bank = quoted_->selection[i];
    for (const uint32_t pcr : bank.pcrs) {
      if (!UsesQuoted(i, pcr)) {
        continue;
      }
      if (quoted_->authentic &&
          !(replay_.Value(*quoted_banks_[i], pcr) == *FindPcr(quoted_->given, bank.name(), pcr))) {
        return false;
      }
    }
  }
  if (quoted_->authentic) {
    return true;
  }
  const Digest digest = CompositeDigest(
      quoted_->selection, quoted_->digest_alg,
      [this](size_t bank, uint32_t pcr) -> const Digest& { return QuotedValue(bank, pcr); });
  return digest == quoted_->digest;
}

// `extended`: the PCR that changed; nothing: any may have.
Status VerifyPass::MatchQuoted(std::optional<uint32_t> extended) {
  if (quoted_ == nullptr || !missing_banks_.empty()) {
    return {};  // VerifyLog() runs again with the missing banks
  }
  if (!Covered()) {
    quoted_meets_ = false;
    return {};
  }
  // Other PCRs change nothing: the answer stays what it was.
  const bool selected =
      !extended || std::ranges::any_of(quoted_->selection, [&](const BankSelection& bank) {
        return bank.pcrs.contains(*extended);
      });
  if (selected) {
    IMASNAP_ASSIGN(quoted_meets_, MeetsQuoted());
  }
  if (quoted_meets_) {
    NoteMatch(false);
  }
  return {};
}

Status VerifyPass::FinishQuoted() {
  if (report_.matched_record || !missing_banks_.empty()) {
    return {};
  }
  bool any = false;
  for (size_t i = 0; i < quoted_->selection.size(); ++i) {
    const BankSelection& bank = quoted_->selection[i];
    for (const uint32_t pcr : bank.pcrs) {
      const Digest* given = FindPcr(quoted_->given, bank.name(), pcr);
      any = any || UsesQuoted(i, pcr);
      if (!UsesQuoted(i, pcr) && given == nullptr) {
        return MakeError(ErrorCode::kCannotCheck,
                         fmt::format("the quote selects {}, and the log does not extend {} PCR {}: "
                                     "give its value with --pcrs",
                                     ToText(quoted_->selection), bank.name(), pcr));
      }
    }
  }
  if (!any) {
    return MakeError(ErrorCode::kCannotCheck,
                     fmt::format("the quote selects {}: no PCR that the log extends, in a bank "
                                 "that can be replayed here",
                                 ToText(quoted_->selection)));
  }
  if (!Covered()) {
    return NotCovered();
  }
  return NoQuotedMatch();
}

// With the values we can say which PCR is another, and VerifyLog() may try what
// a kernel without the bank's hash does.
Status VerifyPass::NoQuotedMatch() {
  Finding finding = At(parts_.back(), "");
  finding.record = report_.records;
  for (size_t i = 0; quoted_->authentic && i < quoted_->selection.size(); ++i) {
    const std::string name = quoted_->selection[i].name();
    for (const uint32_t pcr : quoted_->selection[i].pcrs) {
      const Digest& given = *FindPcr(quoted_->given, name, pcr);
      if (finding.bank.empty() && UsesQuoted(i, pcr) &&
          !(replay_.Value(*quoted_banks_[i], pcr) == given)) {
        finding.bank = name;
        finding.pcr = pcr;
        finding.expected = given.Hex();
        finding.found = replay_.Value(*quoted_banks_[i], pcr).Hex();
      }
    }
  }
  if (finding.bank.empty()) {
    const Digest digest = CompositeDigest(
        quoted_->selection, quoted_->digest_alg,
        [this](size_t bank, uint32_t pcr) -> const Digest& { return QuotedValue(bank, pcr); });
    finding.expected = quoted_->digest.Hex();
    finding.found = digest.Hex();
  }
  finding.message = fmt::format(
      "the log of {} records never replays to {} of the quote, which is newer than the log or of "
      "another one: the quote has {}, the log's end gives {}",
      report_.records,
      finding.pcr ? fmt::format("{} PCR {}", finding.bank, *finding.pcr)
                  : fmt::format("the digest over {}", ToText(quoted_->selection)),
      finding.expected, finding.found);
  if (report_.records_before > 0) {
    finding.message += fmt::format(
        "; or it is older than record {}, where the state ends, and cannot match without verifying "
        "from the beginning",
        report_.records_before);
  }
  Find(std::move(finding));
  return {};
}

}  // namespace imasnap
