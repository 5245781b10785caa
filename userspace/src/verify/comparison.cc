// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace imasnap {

bool ComparedPcrs::HasAllPcrs(const Replay& replay) const {
  return (replay.used() & ~pcrs_) == 0 &&
         std::ranges::all_of(ima_pcrs_, [&](uint32_t pcr) { return replay.Used(pcr); });
}

namespace {

// What to do if the log extends other PCRs than expected.
std::string OptionFor(const Replay& replay) {
  std::string pcrs;
  std::string options;
  for (const uint32_t pcr : replay.UsedPcrs()) {
    pcrs += fmt::format("{}{}", pcrs.empty() ? "" : ", ", pcr);
    options += fmt::format(" --ima-pcr {}", pcr);
  }
  return fmt::format("it extends PCR {}: if the kernel is configured so, give{}", pcrs, options);
}

}  // namespace

Error ComparedPcrs::MissingPcr(const Replay& replay) const {
  for (const uint32_t pcr : ima_pcrs_) {
    if (!replay.Used(pcr)) {
      Error error = MakeError(ErrorCode::kCannotCheck, Cause::kPcrNotExtended,
                              fmt::format("the log does not extend PCR {}, to which IMA measures "
                                          "by default; {}",
                                          pcr, OptionFor(replay)));
      error.pcr = pcr;
      return error;
    }
  }
  const auto pcr = static_cast<uint32_t>(std::countr_zero(replay.used() & ~pcrs_));
  Error error =
      MakeError(ErrorCode::kCannotCheck, Cause::kPcrNotCompared,
                fmt::format("the log extends PCR {}, but the PCRs to compare with do not include "
                            "it in a bank that can be replayed here, so its records are not proven",
                            pcr));
  error.pcr = pcr;
  return error;
}

std::vector<BankReport> ReportBanks(const Replay& replay, bool before) {
  std::vector<BankReport> banks;
  for (size_t i = 0; i < replay.banks(); ++i) {
    BankReport& bank = banks.emplace_back();
    bank.name = HashName(replay.bank(i).alg);
    bank.padded_sha1 = replay.bank(i).padded_sha1;
    for (const uint32_t pcr : replay.UsedPcrs()) {
      bank.pcrs.emplace(pcr, before ? replay.ValueBefore(i, pcr) : replay.Value(i, pcr));
    }
  }
  return banks;
}

void ReportGivenPcr(const Replay& replay, size_t bank, uint32_t pcr, const Digest* value,
                    BankReport* report) {
  if (replay.Used(pcr)) {
    report->compared.insert(pcr);
  } else if (value != nullptr && !(*value == ResetValue(replay.bank(bank).alg, pcr))) {
    report->not_replayed.insert(pcr);
  }
}

}  // namespace imasnap
