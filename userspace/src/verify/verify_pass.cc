// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/verify_pass.h"

#include <fmt/format.h>

#include "store/completeness.h"

namespace imasnap {
namespace {

constexpr uint64_t kProgressStep = 256;  // records

}  // namespace

Result<VerifyReport> VerifyPass::Run() {
  if (comparison_ != nullptr) {
    IMASNAP_RETURN_IF_ERROR(comparison_->Begin(&chain_, options_.ima_pcrs));
  }
  IMASNAP_ASSIGN(const size_t first, checkpoints_.Resume(parts_, &chain_));
  if (comparison_ != nullptr && chain_.report().records_before > 0) {
    comparison_->Compare(chain_, std::nullopt);
  }
  chain_.BeginReading(first);
  for (size_t i = first; i < parts_.size() && !chain_.has_finding(); ++i) {
    IMASNAP_RETURN_IF_ERROR(ReadPart(i));
  }
  if (chain_.report().records == 0 && !chain_.has_finding()) {
    return EmptyLog(parts_.back().path);
  }
  if (comparison_ != nullptr && !chain_.has_finding()) {
    IMASNAP_RETURN_IF_ERROR(comparison_->Finish(&chain_, [this] { return ReadNext(); }));
  }
  return Report();
}

Status VerifyPass::ReadPart(size_t index) {
  bool more = chain_.BeginPart(index);
  while (more) {
    auto read = ReadNext();
    if (!read.ok()) {
      Error error = ErrorOfPart(parts_[index], std::move(read.error()));
      if (error.code != ErrorCode::kMalformed) {
        return error;
      }
      chain_.AddMalformed(error);
    }
    more = read.ok() && *read;
  }
  if (!chain_.has_finding()) {
    chain_.EndPart();
  }
  return {};
}

Result<bool> VerifyPass::ReadNext() {
  IMASNAP_ASSIGN(const Record* record, chain_.Next());
  if (record == nullptr) {
    return false;
  }
  if (chain_.IsAtBoundary(*record)) {
    checkpoints_.AddBoundary(chain_, *record, match());
  }
  IMASNAP_RETURN_IF_ERROR(chain_.Add(*record));
  if (chain_.has_finding()) {
    return false;
  }
  if (comparison_ != nullptr) {
    comparison_->Compare(chain_, record->pcr);
  }
  const VerifyReport& report = chain_.report();
  if (options_.progress && report.records % kProgressStep == 0 &&
      !options_.progress(report.records - report.records_before)) {
    return MakeError(ErrorCode::kCannotCheck, "cancelled");
  }
  return true;
}

std::optional<uint64_t> VerifyPass::match() const {
  if (comparison_ == nullptr || !comparison_->match()) {
    return std::nullopt;
  }
  return comparison_->match()->record;
}

VerifyReport VerifyPass::Report() {
  VerifyReport report = chain_.report();
  report.violations = chain_.replay().violations();
  report.matched_record = match();
  report.banks = report.matched_record ? comparison_->match()->banks
                                       : ReportBanks(chain_.replay(), /*before=*/false);
  const auto& lost = chain_.lost_at_kexec();
  if (lost && report.finding &&
      (report.finding->pcr || report.finding->cause == Cause::kPcrDigest)) {
    report.finding->lost_at_kexec = lost;
    report.finding->message += fmt::format(
        "; records are missing before record {}, with which another kernel begins: the list did "
        "not fit into the memory that was reserved when the kexec was loaded",
        *lost);
  }
  if (report.matched_record && !report.finding) {
    report.checkpoint = checkpoints_.LastMatched(*report.matched_record);
  }
  return report;
}

}  // namespace imasnap
