// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/record_chain.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/store.h"

namespace imasnap {
namespace {

constexpr size_t kMaxUncheckedBanks = 16;  // TPM2_NUM_PCR_BANKS

}  // namespace

Finding AtPart(const LogPart& part, Cause cause, std::string message) {
  Finding finding;
  finding.cause = cause;
  finding.file = part.path;
  finding.segment = part.segment;
  finding.message = std::move(message);
  return finding;
}

Finding RecordChain::AtRecord(const Record& record, Cause cause, std::string message) const {
  Finding finding = AtPart(part(), cause, std::move(message));
  finding.record = report_.records + 1;
  finding.record_in_file = record.number;
  finding.offset = record.offset;
  return finding;
}

Finding RecordChain::AtEnd(Cause cause, std::string message) const {
  Finding finding = AtPart(parts_.back(), cause, std::move(message));
  finding.record = report_.records;
  return finding;
}

void RecordChain::AddFinding(Finding finding) {
  if (!report_.finding) {
    report_.finding = std::move(finding);
  }
}

void RecordChain::AddMalformed(const Error& error) {
  Finding finding = AtPart(part(), error.cause, error.message);
  finding.record = report_.records + 1;
  finding.record_in_file = error.record;
  finding.offset = error.offset;
  AddFinding(std::move(finding));
}

bool RecordChain::CheckPresent() {
  if (part().missing_before) {
    Finding finding =
        AtPart(part(), Cause::kSegmentMissing,
               fmt::format("segment {} is missing", SegmentName(*part().missing_before)));
    finding.segment = *part().missing_before;
    finding.expected = fmt::format("segment {}", SegmentName(finding.segment));
    finding.found = part().segment == 0 ? std::string("the kernel's list")
                                        : fmt::format("segment {}", SegmentName(part().segment));
    AddFinding(std::move(finding));
    return false;
  }
  if (part().missing && !part().discarded) {
    Finding finding = AtPart(part(), Cause::kSegmentMissing,
                             "the segment is missing; only its metadata is there");
    finding.expected = fmt::format("segment {}", SegmentName(part().segment));
    finding.found = "its metadata alone";
    AddFinding(std::move(finding));
    return false;
  }
  return true;
}

bool RecordChain::Skip(size_t first) {
  for (index_ = 0; index_ < first; ++index_) {
    if (!CheckPresent()) {
      return false;
    }
    report_.segments += part().segment != 0 ? 1 : 0;
  }
  return true;
}

void RecordChain::Resume(const Checkpoint& from) {
  resumed_at_ = index_;
  std::vector<std::map<uint32_t, Digest>> pcrs;
  for (const Checkpoint::BankState& state : from.banks) {
    pcrs.push_back(state.pcrs);
  }
  replay_.Resume(pcrs, from.records, from.violations);
  report_.records = report_.records_before = from.records;
  report_.aggregates = from.aggregates;
  if (from.attempt != 0) {
    last_attempt_ = from.attempt - 1;
  } else if (from.aggregates != 0) {
    last_attempt_ = from.aggregates;  // attempts count from 1
  }
  previous_sha256_ = from.segment_sha256;
}

bool RecordChain::IsAtBoundary(const Record& record) const {
  return record.number == 1 && (index_ == 0 || parts_[index_ - 1].segment != 0);
}

Checkpoint RecordChain::CheckpointBefore(const Record& record) const {
  Checkpoint checkpoint;
  if (report_.records == 0) {
    return checkpoint;
  }
  checkpoint.records = report_.records;
  checkpoint.segment = parts_[index_ - 1].segment;
  checkpoint.segment_sha256 = *previous_sha256_;
  checkpoint.aggregates = report_.aggregates;
  checkpoint.violations = replay_.violations();
  if (IsAggregate(record)) {
    --checkpoint.aggregates;  // CheckAggregate() counted it; it is after the boundary
    checkpoint.attempt = *last_attempt_;
    checkpoint.aggregate = HashBytes(HashAlg::kSha256, record.template_data);
  }
  for (size_t i = 0; i < replay_.banks(); ++i) {
    Checkpoint::BankState state{replay_.bank(i), {}};
    for (const uint32_t pcr : replay_.UsedPcrs()) {
      state.pcrs.emplace(pcr, replay_.Value(i, pcr));
    }
    checkpoint.banks.push_back(std::move(state));
  }
  return checkpoint;
}

std::optional<size_t> RecordChain::FindBank(const std::string& name) {
  const auto bank = BankFromName(name);
  if (!bank) {
    report_.unchecked_banks.insert(name);
    return std::nullopt;
  }
  for (size_t i = 0; i < replay_.banks(); ++i) {
    if (replay_.bank(i).alg == bank->alg) {
      return i;
    }
  }
  if (std::ranges::find(missing_banks_, *bank) == missing_banks_.end()) {
    missing_banks_.push_back(*bank);
  }
  return std::nullopt;
}

void RecordChain::BeginReading(size_t first) {
  DigestPipeline::Options options;
  options.algs = replay_.DigestAlgs(HashAlg::kSha1);
  options.hash_file = true;
  reader_.emplace(InputsOf(parts_, first), std::move(options));
}

bool RecordChain::BeginPart(size_t index) {
  index_ = index;
  first_record_ = report_.records + 1;
  if (sha256_) {
    previous_sha256_ = sha256_;
  }
  if (!CheckPresent()) {
    return false;
  }
  reader_->NextFile();
  return true;
}

Result<const Record*> RecordChain::Next() {
  IMASNAP_ASSIGN(const Record* record, reader_->Next());
  if (record != nullptr) {
    IMASNAP_RETURN_IF_ERROR(CheckRecord(*record));
    FollowKexec(*record);
  }
  return has_finding() ? nullptr : record;
}

// A kernel measures kexec_load when it reserves memory for its list, and kexec_execute
// before it copies the list there for the next kernel (ima_kexec.c). If the list that
// the next kernel got lacks the second, it did not fit, and records are missing.
void RecordChain::FollowKexec(const Record& record) {
  const std::string_view event = record.event_name();
  if (record.template_name == "ima-buf" && event == "kexec_load") {
    kexec_loaded_ = true;
  } else if (record.template_name == "ima-buf" && event == "kexec_execute") {
    kexec_loaded_ = false;
  } else if (kexec_loaded_ && IsBootAggregate(record)) {
    kexec_loaded_ = false;
    lost_at_kexec_ = lost_at_kexec_.value_or(report_.records + 1);
  }
}

// Staging closes no segment with an aggregate, so only PCRs prove what follows.
bool RecordChain::MustBeginWithAggregate() const {
  if (index_ == 0) {
    return false;
  }
  const LogPart& before = parts_[index_ - 1];
  return before.segment != 0 && !(before.info && before.info->attempt == kNoAttempt);
}

Status RecordChain::CheckRecord(const Record& record) {
  const bool first_of_part = record.number == 1 && MustBeginWithAggregate();
  if (IsRenamedAggregate(record)) {
    Finding finding = AtRecord(record, Cause::kAggregateTemplate,
                               fmt::format("is a {} with template {}, which would hide its "
                                           "content: the kernel records it with ima-buf",
                                           kAggregateEvent, Printable(record.template_name)));
    finding.expected = "ima-buf";
    finding.found = Printable(record.template_name);
    AddFinding(std::move(finding));
  } else if (IsAggregate(record)) {
    return CheckAggregate(record, first_of_part);
  } else if (first_of_part) {
    Finding finding =
        AtRecord(record, Cause::kAggregateMissing,
                 fmt::format("begins with {}, not with the aggregate that closed the segment "
                             "before: a segment is missing, or this one does not follow it",
                             Printable(record.event_name())));
    finding.expected =
        fmt::format("{} of attempt {}", kAggregateEvent, last_attempt_.value_or(0) + 1);
    finding.found = Printable(record.event_name());
    AddFinding(std::move(finding));
  } else if (record.number == 1 && index_ > 0 && parts_[index_ - 1].segment != 0) {
    ++report_.unchained;
  }
  return {};
}

Status RecordChain::CheckAggregate(const Record& record, bool first_of_part) {
  if (record.IsViolation()) {
    AddFinding(AtRecord(
        record, Cause::kAggregateViolation,
        fmt::format("is a {} with the digest of a violation, which the kernel never records",
                    kAggregateEvent)));
    return {};
  }
  auto aggregate = AggregateFromRecord(record);
  if (!aggregate.ok()) {
    if (aggregate.error().code == ErrorCode::kMalformed ||
        aggregate.error().code == ErrorCode::kMismatch) {
      Finding finding = AtRecord(record, aggregate.error().cause, aggregate.error().message);
      finding.expected = aggregate.error().expected;
      finding.found = aggregate.error().found;
      AddFinding(std::move(finding));
      return {};
    }
    return std::move(aggregate.error());
  }
  ++report_.aggregates;
  if (record.number == 1 && index_ == 0) {
    Finding finding = AtRecord(record, Cause::kBeginningMissing,
                               fmt::format("the log begins with the aggregate of attempt {}: the "
                                           "{} records before it are missing",
                                           aggregate->attempt, aggregate->record_count));
    finding.expected = "the first record of the boot";
    finding.found = fmt::format("record {}", aggregate->record_count + 1);
    AddFinding(std::move(finding));
    return {};
  }
  const Digest hashed = first_of_part ? *previous_sha256_ : *reader_->HashBefore();
  CheckContinuity(record, *aggregate, first_of_part, hashed);
  if (!has_finding()) {
    CheckPcrs(record, *aggregate);
  }
  last_attempt_ = aggregate->attempt;
  return {};
}

void RecordChain::CheckContinuity(const Record& record, const Aggregate& aggregate,
                                  bool first_of_part, const Digest& hashed) {
  const uint64_t attempt = last_attempt_.value_or(0) + 1;
  if (aggregate.attempt != attempt) {
    Finding finding = AtRecord(
        record, Cause::kAttempt,
        fmt::format("{}attempt {}, but attempt {} should be here{}",
                    first_of_part ? "begins with the aggregate of " : "aggregate of ",
                    aggregate.attempt, attempt,
                    first_of_part ? ": a segment is missing, repeated or in the wrong place" : ""));
    finding.expected = std::to_string(attempt);
    finding.found = std::to_string(aggregate.attempt);
    AddFinding(std::move(finding));
    return;
  }
  if (aggregate.record_count != report_.records) {
    // The aggregate is the right one, so the records before it are wrong.
    Finding finding =
        first_of_part
            ? AtPart(parts_[index_ - 1], Cause::kRecordCount,
                     fmt::format("the log up to its end has {} records, but the aggregate of "
                                 "attempt {} counted {}",
                                 report_.records, aggregate.attempt, aggregate.record_count))
            : AtRecord(
                  record, Cause::kRecordCount,
                  fmt::format(
                      "the aggregate of attempt {} counted {} records before it, but there are {}",
                      aggregate.attempt, aggregate.record_count, report_.records));
    finding.expected = std::to_string(aggregate.record_count);
    finding.found = std::to_string(report_.records);
    AddFinding(std::move(finding));
    return;
  }
  if (!(aggregate.segment_hash == hashed)) {
    Finding finding =
        first_of_part
            ? AtPart(parts_[index_ - 1], Cause::kSegmentHash,
                     fmt::format("its bytes do not have the Segment_Hash of the aggregate of "
                                 "attempt {}, which closed it",
                                 aggregate.attempt))
            : AtRecord(
                  record, Cause::kSegmentHash,
                  fmt::format("the Segment_Hash of attempt {} does not match the bytes before it",
                              aggregate.attempt));
    finding.expected = aggregate.segment_hash.Hex();
    finding.found = hashed.Hex();
    AddFinding(std::move(finding));
  }
}

// A PCR that is not listed has its reset value.
void RecordChain::CheckPcr(const Record& record, const Aggregate& aggregate,
                           const Aggregate::BankValues& listed, size_t bank, uint32_t pcr) {
  const auto found = listed.pcrs.find(pcr);
  const Digest recorded =
      found != listed.pcrs.end() ? found->second : ResetValue(replay_.bank(bank).alg, pcr);
  const Digest& replayed = replay_.Value(bank, pcr);
  ++report_.pcr_checks;
  if (recorded == replayed) {
    return;
  }
  const bool of_state = resumed_at_ == index_ && record.number == 1;
  Finding finding = AtRecord(
      record, of_state ? Cause::kStatePcr : Cause::kAggregatePcr,
      fmt::format("{} another value of {} PCR {} than the aggregate of attempt {} recorded",
                  of_state ? "the state has" : "the records before it replay to", listed.name, pcr,
                  aggregate.attempt));
  finding.bank = listed.name;
  finding.pcr = pcr;
  finding.expected = recorded.Hex();
  finding.found = replayed.Hex();
  AddFinding(std::move(finding));
}

void RecordChain::CheckPcrs(const Record& record, const Aggregate& aggregate) {
  for (const Aggregate::BankValues& listed : aggregate.banks) {
    const std::optional<size_t> bank = FindBank(listed.name);
    if (!bank) {
      if (report_.unchecked_banks.size() > kMaxUncheckedBanks) {
        AddFinding(AtRecord(record, Cause::kTooMany,
                            fmt::format("the aggregates of the log name more than {} unknown "
                                        "banks, and no TPM has that many",
                                        kMaxUncheckedBanks)));
        return;
      }
      continue;
    }
    for (const uint32_t pcr : replay_.UsedPcrs()) {
      if (pcr < kTpmPcrs) {
        CheckPcr(record, aggregate, listed, *bank, pcr);
      }
      if (has_finding()) {
        return;
      }
    }
  }
}

Status RecordChain::Add(const Record& record) {
  Status added = replay_.Add(record, HashAlg::kSha1, reader_->digests());
  if (!added.ok()) {
    if (added.error().code != ErrorCode::kMismatch) {
      return added;
    }
    Finding finding = AtRecord(record, added.error().cause, added.error().message);
    finding.bank = "sha1";
    finding.expected = added.error().expected;
    finding.found = added.error().found;
    AddFinding(std::move(finding));
    return {};
  }
  ++report_.records;
  report_.undecoded += record.tmpl == nullptr ? 1 : 0;
  report_.live_records += part().segment == 0 ? 1 : 0;
  return {};
}

void RecordChain::CheckInfo(const Digest& sha256) {
  if (part().info_problem) {
    AddFinding(AtPart(part(), Cause::kMetadata,
                      "its metadata is damaged: " + part().info_problem->ToString()));
  }
  if (!part().info) {
    return;
  }
  const SegmentInfo& info = *part().info;
  const auto check = [&](Cause cause, const char* what, const std::string& stored,
                         const std::string& found) {
    if (stored != found) {
      Finding finding = AtPart(part(), cause,
                               fmt::format("its {} are not those that were stored: {} stored, "
                                           "{} found",
                                           what, stored, found));
      finding.expected = stored;
      finding.found = found;
      AddFinding(std::move(finding));
    }
  };
  const auto number = [](uint64_t n) { return std::to_string(n); };
  check(Cause::kMetadataBytes, "bytes", number(info.bytes), number(reader_->bytes()));
  check(Cause::kMetadataSha256, "SHA-256 and with it its bytes", info.sha256.Hex(), sha256.Hex());
  check(Cause::kMetadataRecords, "records", number(info.records), number(reader_->records()));
  check(Cause::kMetadataNumbers, "record numbers",
        fmt::format("{} to {}", info.first_record, info.last_record),
        fmt::format("{} to {}", first_record_, report_.records));
}

void RecordChain::EndPart() {
  sha256_ = reader_->hash();
  CheckInfo(*sha256_);
  report_.segments += part().segment != 0 && !has_finding() ? 1 : 0;
}

}  // namespace imasnap
