// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm/pcr_selection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "log/replay.h"

namespace imasnap {
namespace {

// Removes the beginning of `text` up to the first `separator` and returns it.
std::string_view Cut(std::string_view* text, char separator) {
  const size_t at = text->find(separator);
  const std::string_view first = text->substr(0, at);
  text->remove_prefix(at == std::string_view::npos ? text->size() : at + 1);
  return first;
}

Error BadSelection(std::string_view text) {
  return MakeError(
      ErrorCode::kUsage, Cause::kSyntax,
      fmt::format("\"{}\" is not a selection of PCRs such as sha256:10,11+sha1:10", text));
}

}  // namespace

std::string BankNameOf(uint16_t tpm_alg) {
  const auto alg = HashFromTpmAlgId(tpm_alg);
  const bool mapped = alg && *alg <= HashAlg::kSm3;
  return mapped ? std::string(HashName(*alg)) : fmt::format("tpm_alg_{:x}", tpm_alg);
}

std::string BankSelection::name() const { return BankNameOf(tpm_alg); }

Result<PcrSelection> ParsePcrSelection(std::string_view text) {
  PcrSelection selection;
  std::string_view rest = text;
  if (rest.empty() || rest.back() == '+') {
    return BadSelection(text);
  }
  while (!rest.empty()) {
    std::string_view pcrs = Cut(&rest, '+');
    if (pcrs.empty() || pcrs.back() == ',') {
      return BadSelection(text);
    }
    const auto bank = BankFromName(Cut(&pcrs, ':'));
    if (!bank || pcrs.empty()) {
      return BadSelection(text);
    }
    BankSelection& selected = selection.emplace_back();
    selected.tpm_alg = TpmAlgId(bank->alg);
    while (!pcrs.empty()) {
      const auto pcr = ParseDecimal(Cut(&pcrs, ','));
      if (!pcr || *pcr >= kTpmPcrs) {
        return BadSelection(text);
      }
      selected.pcrs.insert(static_cast<uint32_t>(*pcr));
    }
    if (std::ranges::count(selection, selected.tpm_alg, &BankSelection::tpm_alg) > 1) {
      return MakeError(ErrorCode::kUsage, Cause::kDuplicate,
                       fmt::format("\"{}\" names a bank twice", text));
    }
  }
  return selection;
}

std::string ToText(const PcrSelection& selection) {
  std::string text;
  for (const BankSelection& bank : selection) {
    if (!bank.pcrs.empty()) {
      text +=
          fmt::format("{}{}:{}", text.empty() ? "" : "+", bank.name(), fmt::join(bank.pcrs, ","));
    }
  }
  return text.empty() ? "none" : text;
}

Digest CompositeDigest(const PcrSelection& selection, HashAlg alg, const PcrLookup& value) {
  Hasher hasher(alg);
  for (size_t bank = 0; bank < selection.size(); ++bank) {
    for (const uint32_t pcr : selection[bank].pcrs) {
      hasher.Update(value(bank, pcr).view());
    }
  }
  return hasher.Finish();
}

const Digest* FindPcr(const PcrValues& values, const std::string& bank, uint32_t pcr) {
  const auto pcrs = values.find(bank);
  if (pcrs == values.end()) {
    return nullptr;
  }
  const auto value = pcrs->second.find(pcr);
  return value == pcrs->second.end() ? nullptr : &value->second;
}

bool HasAll(const PcrValues& values, const PcrSelection& selection) {
  return std::ranges::all_of(selection, [&](const BankSelection& bank) {
    return std::ranges::all_of(bank.pcrs, [&, name = bank.name()](uint32_t pcr) {
      return FindPcr(values, name, pcr) != nullptr;
    });
  });
}

}  // namespace imasnap
