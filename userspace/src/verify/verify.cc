// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "store/completeness.h"
#include "verify/comparison.h"
#include "verify/verify_pass.h"

namespace imasnap {
namespace {

// The banks to begin with: those of the comparison and of the store's metadata. Without
// any, the two that every verifier looks at.
Result<std::vector<Bank>> FirstBanks(const std::vector<LogPart>& parts, Comparison* comparison) {
  std::set<std::string> names;
  if (comparison != nullptr) {
    IMASNAP_ASSIGN(const std::vector<std::string> compared, comparison->BankNames());
    names.insert(compared.begin(), compared.end());
  }
  for (const LogPart& part : parts) {
    if (part.info) {
      for (const Aggregate::BankValues& bank : part.info->banks) {
        names.insert(bank.name);
      }
    }
  }
  if (names.empty()) {
    names = {"sha1", "sha256"};
  }
  std::vector<Bank> banks;
  for (const std::string& name : names) {
    if (const auto bank = BankFromName(name)) {
      banks.push_back(*bank);
    }
  }
  return banks;
}

// The banks of a state: it has all banks of the log, and how they are padded.
Result<VerifyReport> VerifyRest(const std::vector<LogPart>& parts, Comparison* comparison,
                                const VerifyOptions& options) {
  std::vector<Bank> banks;
  for (const Checkpoint::BankState& state : options.from->banks) {
    banks.push_back(state.bank);
  }
  VerifyPass pass(parts, comparison, Replay(banks), options);
  IMASNAP_ASSIGN(VerifyReport report, pass.Run());
  if (!pass.missing_banks().empty()) {
    const std::string bank(HashName(pass.missing_banks()[0].alg));
    Error error = StateRefused(Cause::kStateBank, options.state_file,
                               fmt::format("has no PCRs of bank {}", bank));
    error.bank = bank;
    return error;
  }
  return report;
}

}  // namespace

Error Finding::ToError() const {
  Error error = FileError(ErrorCode::kMismatch, cause, file, message);
  error.record = record_in_file;
  error.offset = offset;
  if (segment != 0) {
    error.segment = segment;
  }
  error.bank = bank;
  error.pcr = pcr;
  error.expected = expected;
  error.found = found;
  return error;
}

Result<VerifyReport> VerifyLog(const std::vector<LogPart>& parts, Comparison* comparison,
                               const VerifyOptions& options) {
  const uint64_t verified_before = options.from != nullptr ? options.from->records : 0;
  IMASNAP_RETURN_IF_ERROR(CheckNotDiscarded(parts, verified_before + 1));
  if (verified_before > 0) {
    return VerifyRest(parts, comparison, options);
  }
  IMASNAP_ASSIGN(std::vector<Bank> banks, FirstBanks(parts, comparison));
  std::optional<VerifyReport> best;
  // Each round adds or pads a bank, so there are at most two rounds for each algorithm.
  for (size_t round = 0; round < 2 * kHashAlgCount + 2; ++round) {
    VerifyPass pass(parts, comparison, Replay(banks), options);
    IMASNAP_ASSIGN(VerifyReport report, pass.Run());
    if (!pass.missing_banks().empty()) {
      banks.insert(banks.end(), pass.missing_banks().begin(), pass.missing_banks().end());
      continue;
    }
    if (best && report.finding && report.finding->bank == best->finding->bank &&
        report.finding->record <= best->finding->record) {
      return std::move(*best);  // padding did not help: keep the first result
    }
    if (!report.finding || !report.finding->pcr) {
      return report;
    }
    // A kernel without a bank's hash extends the SHA-1 digest, padded.
    const auto bank = std::ranges::find_if(banks, [&](const Bank& b) {
      return HashName(b.alg) == report.finding->bank && !b.padded_sha1 && b.alg != HashAlg::kSha1;
    });
    if (bank == banks.end()) {
      return best ? std::move(*best) : std::move(report);
    }
    bank->padded_sha1 = true;
    best = std::move(report);
  }
  return MakeError(ErrorCode::kCannotCheck, "the banks of the log cannot be determined");
}

}  // namespace imasnap
