// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/verify_pass.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/log_parts.h"
#include "store/store.h"

namespace imasnap {
namespace {

constexpr uint64_t kProgressStep = 256;    // records
constexpr size_t kMaxUncheckedBanks = 16;  // TPM2_NUM_PCR_BANKS

}  // namespace

// Whether this part must begin with the aggregate that closed the one before.
// What was taken by staging, or is staged now, was closed by none: there the
// chain is held by the PCRs alone.
bool VerifyPass::FollowsAnAggregatesSegment() const {
  if (index_ == 0) {
    return false;
  }
  const LogPart& before = parts_[index_ - 1];
  const bool staged = before.segment == 0 || (before.info && before.info->attempt == kNoAttempt);
  return !staged;
}

Finding VerifyPass::At(const LogPart& where, std::string message) const {
  Finding finding;
  finding.file = where.path;
  finding.segment = where.segment;
  finding.message = std::move(message);
  return finding;
}

Finding VerifyPass::At(const Record& record, std::string message) const {
  Finding finding = At(part(), std::move(message));
  finding.record = report_.records + 1;
  finding.record_in_file = record.number;
  finding.offset = record.offset;
  return finding;
}

// False when the bank cannot be replayed here; `index` stays empty when it can
// be but was not.
bool VerifyPass::NoteBank(const std::string& name, std::optional<size_t>* index) {
  const auto bank = BankFromName(name);
  if (!bank) {
    report_.unchecked_banks.insert(name);
    return false;
  }
  for (size_t i = 0; i < replay_.banks(); ++i) {
    if (replay_.bank(i).alg == bank->alg) {
      *index = i;
      return true;
    }
  }
  if (std::ranges::find(missing_banks_, *bank) == missing_banks_.end()) {
    missing_banks_.push_back(*bank);
  }
  return true;
}

void VerifyPass::CheckPcrs(const Record& record, const Aggregate& aggregate) {
  for (const Aggregate::BankValues& bank : aggregate.banks) {
    std::optional<size_t> index;
    if (!NoteBank(bank.name, &index) || !index) {
      if (report_.unchecked_banks.size() > kMaxUncheckedBanks) {
        Find(At(record, fmt::format("the log's aggregates name more than {} banks that are not "
                                    "known here; a TPM has not so many",
                                    kMaxUncheckedBanks)));
        return;
      }
      continue;
    }
    for (uint32_t pcr : replay_.UsedPcrs()) {
      if (pcr >= kTpmPcrs) {
        continue;
      }
      const auto listed = bank.pcrs.find(pcr);
      const Digest recorded =
          listed != bank.pcrs.end() ? listed->second : ResetValue(replay_.bank(*index).alg, pcr);
      ++report_.pcr_checks;
      if (!(recorded == replay_.Value(*index, pcr))) {
        Finding finding =
            At(record, fmt::format("{} another value of {} PCR {} than the aggregate of attempt {} "
                                   "recorded",
                                   resumed_at_ == index_ && record.number == 1
                                       ? "the state has"
                                       : "the records before it replay to",
                                   bank.name, pcr, aggregate.attempt));
        finding.bank = bank.name;
        finding.pcr = pcr;
        finding.expected = recorded.Hex();
        finding.found = replay_.Value(*index, pcr).Hex();
        Find(std::move(finding));
        return;
      }
    }
  }
}

void VerifyPass::CheckContinuity(const Record& record, const Aggregate& aggregate,
                                 bool first_of_part, const Digest& covered) {
  const uint64_t attempt = last_attempt_.value_or(0) + 1;
  if (aggregate.attempt != attempt) {
    Finding finding = At(
        record,
        fmt::format("{}attempt {} where attempt {} should be{}",
                    first_of_part ? "begins with the aggregate of " : "aggregate of ",
                    aggregate.attempt, attempt,
                    first_of_part ? ": a segment is missing, repeated or in the wrong place" : ""));
    finding.expected = std::to_string(attempt);
    finding.found = std::to_string(aggregate.attempt);
    Find(std::move(finding));
    return;
  }
  if (aggregate.record_count != report_.records) {
    // The aggregate is the right one, so it is what came before that is wrong.
    Finding finding =
        first_of_part
            ? At(parts_[index_ - 1],
                 fmt::format("the log up to its end has {} records, the aggregate of attempt {} "
                             "counted {}",
                             report_.records, aggregate.attempt, aggregate.record_count))
            : At(record, fmt::format("aggregate of attempt {} counted {} records before it, there "
                                     "are {}",
                                     aggregate.attempt, aggregate.record_count, report_.records));
    finding.expected = std::to_string(aggregate.record_count);
    finding.found = std::to_string(report_.records);
    Find(std::move(finding));
    return;
  }
  if (!(aggregate.segment_hash == covered)) {
    Finding finding =
        first_of_part
            ? At(parts_[index_ - 1], fmt::format("its bytes do not have the Segment_Hash of the "
                                                 "aggregate of attempt {} that closed it",
                                                 aggregate.attempt))
            : At(record, fmt::format("the Segment_Hash of attempt {} is not that of the bytes "
                                     "before it",
                                     aggregate.attempt));
    finding.expected = aggregate.segment_hash.Hex();
    finding.found = covered.Hex();
    Find(std::move(finding));
  }
}

Status VerifyPass::OnAggregate(const Record& record, bool first_of_part) {
  if (record.IsViolation()) {
    Find(At(record, fmt::format("is a {} with the digest of a violation, as the kernel has none",
                                kAggregateEvent)));
    return {};
  }
  auto aggregate = AggregateFromRecord(record);
  if (!aggregate.ok()) {
    if (aggregate.error().code == ErrorCode::kMalformed ||
        aggregate.error().code == ErrorCode::kMismatch) {
      Finding finding = At(record, aggregate.error().message);
      finding.expected = aggregate.error().expected;
      finding.found = aggregate.error().found;
      Find(std::move(finding));
      return {};
    }
    return std::move(aggregate.error());
  }
  ++report_.aggregates;
  if (record.number == 1 && index_ == 0) {
    Finding finding = At(record, fmt::format("the log begins with the aggregate of attempt {}: the "
                                             "{} records before it are missing",
                                             aggregate->attempt, aggregate->record_count));
    finding.expected = "the first record of the boot";
    finding.found = fmt::format("record {}", aggregate->record_count + 1);
    Find(std::move(finding));
    return {};
  }
  const Digest covered = first_of_part ? *previous_sha256_ : *reader_->HashBefore();
  CheckContinuity(record, *aggregate, first_of_part, covered);
  if (!report_.finding) {
    CheckPcrs(record, *aggregate);
  }
  last_attempt_ = aggregate->attempt;
  return {};
}

Status VerifyPass::OnRecord(const Record& record) {
  const bool first_of_part = record.number == 1 && FollowsAnAggregatesSegment();
  if (IsRenamedAggregate(record)) {
    Finding finding = At(record, fmt::format("is a {} under the name of template {}, which would "
                                             "hide what it says: the kernel has it in ima-buf",
                                             kAggregateEvent, Printable(record.template_name)));
    finding.expected = "ima-buf";
    finding.found = Printable(record.template_name);
    Find(std::move(finding));
  } else if (IsAggregate(record)) {
    IMASNAP_RETURN_IF_ERROR(OnAggregate(record, first_of_part));
  } else if (first_of_part) {
    Finding finding =
        At(record, fmt::format("begins with {}, not with the aggregate that closed the segment "
                               "before it: a segment is missing or this one is not its successor",
                               Printable(record.event_name())));
    finding.expected =
        fmt::format("{} of attempt {}", kAggregateEvent, last_attempt_.value_or(0) + 1);
    finding.found = Printable(record.event_name());
    Find(std::move(finding));
  } else if (record.number == 1 && index_ > 0 && parts_[index_ - 1].segment != 0) {
    ++report_.unchained;
  }
  if (report_.finding) {
    return {};
  }
  if (record.number == 1 && (index_ == 0 || parts_[index_ - 1].segment != 0)) {
    IMASNAP_RETURN_IF_ERROR(NoteBoundary(record));
  }
  Status added = replay_.Add(record, HashAlg::kSha1, reader_->digests());
  if (!added.ok()) {
    if (added.error().code != ErrorCode::kMismatch) {
      return added;
    }
    Finding finding = At(record, added.error().message);
    finding.bank = "sha1";
    finding.expected = added.error().expected;
    finding.found = added.error().found;
    Find(std::move(finding));
    return {};
  }
  ++report_.records;
  if (part().segment == 0) {
    ++report_.live_records;
  }
  MatchFixed();
  if (options_.progress && report_.records % kProgressStep == 0 &&
      !options_.progress(report_.records - report_.records_before)) {
    return MakeError(ErrorCode::kCannotCheck, "given up");
  }
  return MatchQuoted(record.pcr);
}

void VerifyPass::CheckInfo(const Digest& sha256) {
  if (part().info_problem) {
    Find(At(part(), "its metadata is broken: " + part().info_problem->ToString()));
  }
  if (!part().info) {
    return;
  }
  const SegmentInfo& info = *part().info;
  const auto check = [&](const char* what, const std::string& stored, const std::string& found) {
    if (stored != found) {
      Finding finding = At(part(), fmt::format("its {} are not those that were stored: {} stored, "
                                               "{} found",
                                               what, stored, found));
      finding.expected = stored;
      finding.found = found;
      Find(std::move(finding));
    }
  };
  const auto number = [](uint64_t n) { return std::to_string(n); };
  check("bytes", number(info.bytes), number(reader_->bytes()));
  check("SHA-256 and with it its bytes", info.sha256.Hex(), sha256.Hex());
  check("records", number(info.records), number(reader_->records()));
  check("record numbers", fmt::format("{} to {}", info.first_record, info.last_record),
        fmt::format("{} to {}", first_record_, report_.records));
}

void VerifyPass::BeginReading(size_t first) {
  DigestPipeline::Options options;
  options.algs = replay_.DigestAlgs(HashAlg::kSha1);
  options.hash_file = true;
  reader_.emplace(InputsOf(parts_, first), std::move(options));
}

Status VerifyPass::RunPart(size_t index) {
  index_ = index;
  first_record_ = report_.records + 1;
  if (!CheckPresent()) {
    return {};
  }
  reader_->NextFile();
  while (!report_.finding) {
    auto record = reader_->Next();
    if (!record.ok()) {
      if (record.error().code != ErrorCode::kMalformed) {
        return std::move(record.error());
      }
      Finding finding = At(part(), record.error().message);
      finding.record = report_.records + 1;
      finding.record_in_file = record.error().record;
      finding.offset = record.error().offset;
      Find(std::move(finding));
      return {};
    }
    if (*record == nullptr) {
      break;
    }
    IMASNAP_RETURN_IF_ERROR(OnRecord(**record));
  }
  if (!report_.finding) {
    previous_sha256_ = reader_->hash();
    CheckInfo(*previous_sha256_);
  }
  if (part().segment != 0 && !report_.finding) {
    ++report_.segments;
  }
  return {};
}

Result<VerifyReport> VerifyPass::Run() {
  if (pcrs_ != nullptr && pcrs_->quoted() != nullptr) {
    IMASNAP_RETURN_IF_ERROR(BeginQuoted(*pcrs_->quoted()));
  } else if (pcrs_ != nullptr && !pcrs_->live()) {
    IMASNAP_ASSIGN(const PcrValues values, pcrs_->Read({}));
    IMASNAP_RETURN_IF_ERROR(SetTarget(values));
  }
  size_t first = 0;
  if (options_.from != nullptr) {
    IMASNAP_RETURN_IF_ERROR(Resume(&first));
  }
  BeginReading(first);
  for (size_t i = first; i < parts_.size() && !report_.finding; ++i) {
    IMASNAP_RETURN_IF_ERROR(RunPart(i));
  }
  IMASNAP_RETURN_IF_ERROR(Finish());
  return std::move(report_);
}

}  // namespace imasnap
