// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/aggregate.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "log/replay.h"

namespace imasnap {
namespace {

constexpr std::string_view kAttempt = "Snapshot_Attempt_Count=";
constexpr std::string_view kCount = "Record_Count=";
constexpr std::string_view kHash = "Segment_Hash=sha256:";
// TPM2_NUM_PCR_BANKS of TPM 2.0 Part 2, and of the kernel.
constexpr size_t kMaxBanks = 16;

// A position in the text, with one function for each thing that may come.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::string_view rest() const { return text_.substr(pos_); }
  bool StartsWith(std::string_view token) const { return rest().starts_with(token); }

  Status Expect(std::string_view token) {
    if (!StartsWith(token)) {
      return Fail(Cause::kSyntax, fmt::format("expected \"{}\"", token));
    }
    pos_ += token.size();
    return {};
  }

  Result<uint64_t> Decimal(std::string_view what) {
    size_t n = 0;
    while (n < rest().size() && rest()[n] >= '0' && rest()[n] <= '9') {
      ++n;
    }
    const auto value = ParseDecimal(rest().substr(0, n));
    if (!value) {
      return Fail(Cause::kNotDecimal, fmt::format("{} is not a decimal number", what));
    }
    pos_ += n;
    return *value;
  }

  // Hex digits of one case up to the first other character.
  Result<Digest> Hex(bool upper, std::string_view what) {
    size_t n = 0;
    const auto is_hex = [upper](char c) {
      return (c >= '0' && c <= '9') || (upper ? c >= 'A' && c <= 'F' : c >= 'a' && c <= 'f');
    };
    while (n < rest().size() && is_hex(rest()[n])) {
      ++n;
    }
    const auto bytes = FromHex(rest().substr(0, n));
    if (!bytes || bytes->empty() || bytes->size() > kMaxDigestSize) {
      return Fail(Cause::kNotHexadecimal, fmt::format("{} is not a digest in {} hexadecimal", what,
                                                      upper ? "uppercase" : "lowercase"));
    }
    pos_ += n;
    return Digest::From(*bytes);
  }

  // A bank's name: lowercase letters, digits, '_' and '-'.
  Result<std::string> BankName() {
    size_t n = 0;
    const auto in_name = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    };
    while (n < rest().size() && in_name(rest()[n])) {
      ++n;
    }
    if (n == 0) {
      return Fail(Cause::kMissing, "expected the name of a bank");
    }
    std::string name(rest().substr(0, n));
    pos_ += n;
    return name;
  }

  Error Fail(Cause cause, std::string message) const {
    Error error = MakeError(ErrorCode::kMalformed, cause, std::move(message));
    error.offset = pos_;
    return error;
  }

 private:
  std::string_view text_;
  size_t pos_ = 0;
};

Status ParsePcr(Scanner* in, Aggregate::BankValues* bank) {
  IMASNAP_ASSIGN(const std::string name, in->BankName());
  if (bank->pcrs.empty()) {
    bank->name = name;
  } else if (bank->name != name) {
    return in->Fail(Cause::kSyntax, fmt::format("bank {} inside bank {}", name, bank->name));
  }
  IMASNAP_RETURN_IF_ERROR(in->Expect(":PCR"));
  IMASNAP_ASSIGN(const uint64_t pcr, in->Decimal("the PCR"));
  if (pcr >= kTpmPcrs) {
    return in->Fail(Cause::kOutOfRange, fmt::format("PCR {} does not exist", pcr));
  }
  if (!bank->pcrs.empty() && bank->pcrs.rbegin()->first >= pcr) {
    return in->Fail(Cause::kWrongOrder, fmt::format("PCR {} is out of order", pcr));
  }
  IMASNAP_RETURN_IF_ERROR(in->Expect(":0x"));
  IMASNAP_ASSIGN(const Digest value, in->Hex(true, "the PCR's value"));
  const auto known = BankFromName(name);
  const size_t size = known                ? DigestSize(known->alg)
                      : bank->pcrs.empty() ? value.size
                                           : bank->pcrs.begin()->second.size;
  if (value.size != size) {
    return in->Fail(Cause::kWrongLength, fmt::format("the value of {} PCR {} has {} bytes, not {}",
                                                     name, pcr, value.size, size));
  }
  bank->pcrs.emplace(static_cast<uint32_t>(pcr), value);
  return {};
}

}  // namespace

Result<Aggregate> ParseAggregate(ByteView data) {
  Scanner in(AsText(data));
  Aggregate out;
  IMASNAP_RETURN_IF_ERROR(in.Expect(kAttempt));
  IMASNAP_ASSIGN(out.attempt, in.Decimal("the attempt"));
  IMASNAP_RETURN_IF_ERROR(in.Expect(";"));
  while (!in.StartsWith(kCount)) {
    Aggregate::BankValues bank;
    IMASNAP_RETURN_IF_ERROR(ParsePcr(&in, &bank));
    while (in.StartsWith(",")) {
      IMASNAP_RETURN_IF_ERROR(in.Expect(","));
      IMASNAP_RETURN_IF_ERROR(ParsePcr(&in, &bank));
    }
    IMASNAP_RETURN_IF_ERROR(in.Expect(";"));
    const auto same_name = [&bank](const Aggregate::BankValues& other) {
      return other.name == bank.name;
    };
    if (std::ranges::any_of(out.banks, same_name)) {
      return in.Fail(Cause::kDuplicate, fmt::format("bank {} is listed twice", bank.name));
    }
    out.banks.push_back(std::move(bank));
    if (out.banks.size() > kMaxBanks) {
      return in.Fail(Cause::kTooMany, fmt::format("there are more than {} banks", kMaxBanks));
    }
  }
  IMASNAP_RETURN_IF_ERROR(in.Expect(kCount));
  IMASNAP_ASSIGN(out.record_count, in.Decimal("the record count"));
  IMASNAP_RETURN_IF_ERROR(in.Expect(";"));
  IMASNAP_RETURN_IF_ERROR(in.Expect(kHash));
  IMASNAP_ASSIGN(out.segment_hash, in.Hex(false, "the segment's hash"));
  if (out.segment_hash.size != DigestSize(HashAlg::kSha256)) {
    return in.Fail(Cause::kWrongLength, "the segment's hash is not a SHA-256 digest");
  }
  IMASNAP_RETURN_IF_ERROR(in.Expect(";"));
  if (!in.rest().empty()) {
    return in.Fail(Cause::kTrailingBytes, fmt::format("{} bytes after the end", in.rest().size()));
  }
  return out;
}

std::string FormatAggregate(const Aggregate& aggregate) {
  std::string text = fmt::format("{}{};", kAttempt, aggregate.attempt);
  for (const Aggregate::BankValues& bank : aggregate.banks) {
    char separator = 0;
    for (const auto& [pcr, value] : bank.pcrs) {
      if (separator != 0) {
        text.push_back(separator);
      }
      separator = ',';
      fmt::format_to(std::back_inserter(text), "{}:PCR{}:0x{}", bank.name, pcr,
                     ToHexUpper(value.view()));
    }
    text.push_back(';');
  }
  fmt::format_to(std::back_inserter(text), "{}{};{}{};", kCount, aggregate.record_count, kHash,
                 aggregate.segment_hash.Hex());
  return text;
}

namespace {

ByteView BufferOf(const Record& record) {
  return FindField(*record.tmpl, record.fields, "buf").value_or(ByteView());
}

}  // namespace

bool IsBootAggregate(const Record& record) {
  const auto is_name = [](std::string_view event) {
    return event == "boot_aggregate" || event == "boot_aggregate_late";
  };
  if (record.tmpl != nullptr) {
    return is_name(record.event_name());
  }
  return std::ranges::any_of(record.fields,
                             [&](ByteView field) { return is_name(StringField(field)); });
}

bool IsAggregate(const Record& record) {
  return record.template_name == "ima-buf" && record.event_name() == kAggregateEvent &&
         AsText(BufferOf(record)).starts_with(kAttempt);
}

// Fields are found by their positions, which the digest covers, not by the names that
// the template gives them.
bool IsRenamedAggregate(const Record& record) {
  const FieldViews& fields = record.fields;
  return fields.size() > 2 && fields[1].size() == kAggregateEvent.size() + 1 &&
         AsText(fields[1]).starts_with(kAggregateEvent) &&
         AsText(fields[2]).starts_with(kAttempt) && record.template_name != "ima-buf";
}

Result<Aggregate> AggregateFromRecord(const Record& record) {
  const auto fail = [&record](ErrorCode code, Cause cause, std::string message) {
    Error error = MakeError(code, cause, std::move(message));
    error.record = record.number;
    error.offset = record.offset;
    return error;
  };
  const ByteView buffer = BufferOf(record);
  auto parsed = ParseAggregate(buffer);
  if (!parsed.ok()) {
    return fail(ErrorCode::kMalformed, parsed.error().cause,
                fmt::format("{}: {} at character {}", kAggregateEvent, parsed.error().message,
                            parsed.error().offset.value_or(0)));
  }
  const DigestField digest = SplitDigestField(FieldKind::kDigestAlg, record.fields[0]);
  if (const auto alg = HashFromName(digest.alg)) {
    const Digest computed = HashBytes(*alg, buffer);
    if (!std::ranges::equal(computed.view(), digest.digest)) {
      Error error = fail(
          ErrorCode::kMismatch, Cause::kAggregateDigest,
          fmt::format("{}: d-ng is not the {} digest of its buffer", kAggregateEvent, digest.alg));
      error.expected = ToHex(digest.digest);
      error.found = computed.Hex();
      return error;
    }
  }
  return parsed;
}

}  // namespace imasnap
