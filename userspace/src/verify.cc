// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "log_reader.h"
#include "store.h"

namespace imasnap {
namespace {

constexpr int kLiveReads = 50;
constexpr std::chrono::milliseconds kBetweenReads(5);

// One pass over the log with a given set of banks.
class Pass {
 public:
  Pass(const std::vector<LogPart>& parts, PcrReader* pcrs, Replay replay,
       std::set<std::string> unchecked)
      : parts_(parts), pcrs_(pcrs), replay_(std::move(replay)) {
    report_.unchecked_banks.assign(unchecked.begin(), unchecked.end());
  }

  Result<VerifyReport> Run();
  // Banks that an aggregate lists and that were not replayed.
  const std::vector<Bank>& missing_banks() const { return missing_banks_; }

 private:
  using Target = std::map<size_t, std::map<uint32_t, Digest>>;  // replay's bank to PCRs

  Status RunPart(size_t index);
  Status OnRecord(const Record& record);
  Status OnAggregate(const Record& record, bool first_of_part);
  void CheckContinuity(const Record& record, const Aggregate& aggregate, bool first_of_part,
                       const Digest& covered);
  void CheckPcrs(const Record& record, const Aggregate& aggregate);
  void CheckInfo(const Digest& sha256);
  bool NoteBank(const std::string& name, std::optional<size_t>* index);

  Target ToTarget(const PcrValues& values);
  bool Matches(size_t bank, const std::map<uint32_t, Digest>& pcrs, bool before) const;
  void MatchFixed();
  Status MatchLive();
  void NoMatch(const Target& target);
  Status Finish();

  const LogPart& part() const { return parts_[index_]; }
  Finding At(const LogPart& where, std::string message) const;
  Finding At(const Record& record, std::string message) const;
  void Find(Finding finding) {
    if (!report_.finding) {
      report_.finding = std::move(finding);
    }
  }

  const std::vector<LogPart>& parts_;
  PcrReader* pcrs_;
  Replay replay_;
  VerifyReport report_;
  std::vector<Bank> missing_banks_;

  size_t index_ = 0;
  std::unique_ptr<File> file_;
  std::unique_ptr<LogReader> reader_;
  std::optional<Hasher> hasher_;           // over the part's records so far
  std::optional<Digest> previous_sha256_;  // of the part before
  std::optional<uint64_t> last_attempt_;
  uint64_t first_record_ = 0;  // of the part

  std::optional<Target> fixed_;
  std::map<size_t, uint64_t> bank_matched_;  // fixed: the last record
};

Finding Pass::At(const LogPart& where, std::string message) const {
  Finding finding;
  finding.file = where.path;
  finding.segment = where.segment;
  finding.message = std::move(message);
  return finding;
}

Finding Pass::At(const Record& record, std::string message) const {
  Finding finding = At(part(), std::move(message));
  finding.record = report_.records + 1;
  finding.record_in_file = record.number;
  finding.offset = record.offset;
  return finding;
}

// False when the bank cannot be replayed here; `index` stays empty when it can
// be but was not.
bool Pass::NoteBank(const std::string& name, std::optional<size_t>* index) {
  const auto bank = BankFromName(name);
  if (!bank || std::ranges::find(report_.unchecked_banks, name) != report_.unchecked_banks.end()) {
    if (std::ranges::find(report_.unchecked_banks, name) == report_.unchecked_banks.end()) {
      report_.unchecked_banks.push_back(name);
    }
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

void Pass::CheckPcrs(const Record& record, const Aggregate& aggregate) {
  for (const Aggregate::BankValues& bank : aggregate.banks) {
    std::optional<size_t> index;
    if (!NoteBank(bank.name, &index) || !index) {
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
            At(record, fmt::format("the records before it replay to another value of {} PCR {} "
                                   "than the aggregate of attempt {} recorded",
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

void Pass::CheckContinuity(const Record& record, const Aggregate& aggregate, bool first_of_part,
                           const Digest& covered) {
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

Status Pass::OnAggregate(const Record& record, bool first_of_part) {
  auto aggregate = AggregateFromRecord(record);
  if (!aggregate.ok()) {
    if (aggregate.error().code == ErrorCode::kMalformed ||
        aggregate.error().code == ErrorCode::kMismatch) {
      Find(At(record, aggregate.error().message));
      return {};
    }
    return std::move(aggregate.error());
  }
  ++report_.aggregates;
  if (first_of_part && index_ == 0) {
    Finding finding = At(record, fmt::format("the log begins with the aggregate of attempt {}: the "
                                             "{} records before it are missing",
                                             aggregate->attempt, aggregate->record_count));
    finding.expected = "the first record of the boot";
    finding.found = fmt::format("record {}", aggregate->record_count + 1);
    Find(std::move(finding));
    return {};
  }
  Digest covered;
  if (first_of_part) {
    covered = *previous_sha256_;
  } else {
    IMASNAP_ASSIGN(covered, hasher_->Peek());
  }
  CheckContinuity(record, *aggregate, first_of_part, covered);
  if (!report_.finding) {
    CheckPcrs(record, *aggregate);
  }
  last_attempt_ = aggregate->attempt;
  return {};
}

Status Pass::OnRecord(const Record& record) {
  const bool first_of_part = record.number == 1;
  if (IsAggregate(record)) {
    IMASNAP_RETURN_IF_ERROR(OnAggregate(record, first_of_part));
  } else if (first_of_part && index_ > 0) {
    Find(At(record, fmt::format("begins with {}, not with the aggregate that closed the segment "
                                "before it: a segment is missing or this one is not its successor",
                                record.event_name())));
  }
  if (report_.finding) {
    return {};
  }
  Status added = replay_.Add(record, HashAlg::kSha1);
  if (!added.ok()) {
    if (added.error().code != ErrorCode::kMismatch) {
      return added;
    }
    Finding finding = At(record, added.error().message);
    finding.bank = "sha1";
    finding.expected = ToHex(record.digest);
    Find(std::move(finding));
    return {};
  }
  hasher_->Update(record.raw);
  ++report_.records;
  if (part().segment == 0) {
    ++report_.live_records;
  }
  MatchFixed();
  return {};
}

void Pass::CheckInfo(const Digest& sha256) {
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

Status Pass::RunPart(size_t index) {
  index_ = index;
  first_record_ = report_.records + 1;
  if (part().missing_before) {
    Finding finding =
        At(part(), fmt::format("segment {} is missing", SegmentName(*part().missing_before)));
    finding.segment = *part().missing_before;
    Find(std::move(finding));
    return {};
  }
  if (part().missing) {
    Find(At(part(), "the segment is missing, only its metadata is there"));
    return {};
  }
  IMASNAP_ASSIGN(file_, part().open());
  reader_ = std::make_unique<LogReader>(*file_, LogFormat{}, part().path);
  IMASNAP_ASSIGN(hasher_, Hasher::Create(HashAlg::kSha256));
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
    IMASNAP_ASSIGN(previous_sha256_, hasher_->Peek());
    CheckInfo(*previous_sha256_);
  }
  if (part().segment != 0) {
    ++report_.segments;
  }
  return {};
}

Pass::Target Pass::ToTarget(const PcrValues& values) {
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
bool Pass::Matches(size_t bank, const std::map<uint32_t, Digest>& pcrs, bool before) const {
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

void Pass::MatchFixed() {
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

void Pass::NoMatch(const Target& target) {
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
        Find(std::move(finding));
        return;
      }
    }
  }
  Finding finding = At(parts_.back(), "the banks match at different records");
  finding.record = report_.records;
  Find(std::move(finding));
}

// The kernel appends to its list first and extends then, so the PCRs are those
// of the log as read, of one record less, or of a later record.
Status Pass::MatchLive() {
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

Status Pass::Finish() {
  if (pcrs_ != nullptr && !report_.finding) {
    if (pcrs_->live()) {
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
    bank.compared = report_.matched_record && (pcrs_->live() || fixed_->contains(i));
    for (uint32_t pcr : replay_.UsedPcrs()) {
      bank.pcrs.emplace(pcr, replay_.Value(i, pcr));
    }
    report_.banks.push_back(std::move(bank));
  }
  report_.violations = replay_.violations();
  return {};
}

Result<VerifyReport> Pass::Run() {
  if (pcrs_ != nullptr && !pcrs_->live()) {
    IMASNAP_ASSIGN(const PcrValues values, pcrs_->Read({}));
    fixed_ = ToTarget(values);
  }
  for (size_t i = 0; i < parts_.size() && !report_.finding; ++i) {
    IMASNAP_RETURN_IF_ERROR(RunPart(i));
  }
  IMASNAP_RETURN_IF_ERROR(Finish());
  return std::move(report_);
}

// The banks to begin with: those of the PCRs, else those of the store's
// metadata, else the two that every verifier looks at.
Result<std::vector<Bank>> FirstBanks(const std::vector<LogPart>& parts, PcrReader* pcrs) {
  std::set<std::string> names;
  if (pcrs != nullptr) {
    IMASNAP_ASSIGN(const PcrValues values, pcrs->Read({}));
    for (const auto& [name, values_of_bank] : values) {
      names.insert(name);
    }
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

}  // namespace

Error Finding::ToError() const {
  Error error = FileError(ErrorCode::kMismatch, file, message);
  error.record = record_in_file;
  error.offset = offset;
  return error;
}

Result<VerifyReport> VerifyLog(const std::vector<LogPart>& parts, PcrReader* pcrs) {
  IMASNAP_ASSIGN(std::vector<Bank> banks, FirstBanks(parts, pcrs));
  std::set<std::string> unchecked;
  std::optional<VerifyReport> best;
  // Each round adds a bank or pads one; twice the number of algorithms is more
  // than either can take.
  for (size_t round = 0; round < 2 * kHashAlgCount + 2; ++round) {
    std::vector<Bank> usable;
    for (const Bank& bank : banks) {
      if (Hasher::Create(bank.alg).ok()) {
        usable.push_back(bank);
      } else {
        unchecked.emplace(HashName(bank.alg));
      }
    }
    banks = usable;
    IMASNAP_ASSIGN(Replay replay, Replay::Create(banks));
    Pass pass(parts, pcrs, std::move(replay), unchecked);
    IMASNAP_ASSIGN(VerifyReport report, pass.Run());
    if (!pass.missing_banks().empty()) {
      banks.insert(banks.end(), pass.missing_banks().begin(), pass.missing_banks().end());
      continue;
    }
    if (best && report.finding && report.finding->record <= best->finding->record) {
      return std::move(*best);  // padding did not help: the first answer stands
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
  return MakeError(ErrorCode::kCannotCheck, "the banks of the log cannot be told");
}

}  // namespace imasnap
