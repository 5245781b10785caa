// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm/pcr_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "log/replay.h"

namespace imasnap {
namespace {

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

std::optional<uint32_t> PcrNumber(std::string_view text) {
  if (text.size() == 2 && text[0] == '0') {
    text.remove_prefix(1);  // PCR-00
  }
  const auto number = ParseDecimal(text);
  if (!number || *number >= kTpmPcrs) {
    return std::nullopt;
  }
  return static_cast<uint32_t>(*number);
}

std::string_view BankForSize(size_t size) {
  for (HashAlg alg : {HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512}) {
    if (DigestSize(alg) == size) {
      return HashName(alg);
    }
  }
  return {};
}

// What tpm2_quote and tpm2_checkquote print beside the PCRs.
constexpr std::array<std::string_view, 6> kOfAQuote = {"quoted", "signature", "alg",
                                                       "sig",    "pcrs",      "calcDigest"};

// The kernel's name of a bank that the tools call "sm3_256" or "sha3_256". An unknown
// name is kept, so that verification can report the bank as not checked. Empty if it
// cannot be a name.
std::string BankName(std::string_view printed) {
  std::string name(printed);
  if (name.empty() ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") != std::string::npos) {
    return {};
  }
  if (!name.starts_with("tpm_alg_")) {
    std::ranges::replace(name, '_', '-');
    if (const auto alg = HashFromName(name)) {
      return std::string(HashName(*alg));
    }
  }
  return name;
}

class Parser {
 public:
  explicit Parser(std::string file) : file_(std::move(file)) {}

  Status Line(std::string_view raw) {
    ++line_;
    const std::string_view line = Trim(raw);
    if (line.empty() || line[0] == '#' || line == "---") {
      return {};
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      return Fail(Cause::kSyntax, "is neither a bank nor a PCR");
    }
    const std::string_view key = Trim(line.substr(0, colon));
    const std::string_view value = Trim(line.substr(colon + 1));
    if (key.starts_with("PCR-")) {
      return Add("", key.substr(4), value);
    }
    if (std::ranges::find(kOfAQuote, key) != kOfAQuote.end()) {
      bank_.clear();
      return {};
    }
    if (value.empty()) {
      bank_ = BankName(key);
      if (bank_.empty()) {
        return Fail(Cause::kUnknownName, fmt::format("\"{}\" is not a bank", key));
      }
      values_[bank_];  // may stay empty: the TPM has the bank, but no PCR was read
      return {};
    }
    if (bank_.empty()) {
      return Fail(Cause::kMissing, "is a PCR without a bank");
    }
    if (!value.starts_with("0x") && !value.starts_with("0X")) {
      return Fail(Cause::kNotHexadecimal, "is a value without 0x");
    }
    return Add(bank_, key, value.substr(2));
  }

  Result<PcrValues> Finish() {
    if (std::ranges::all_of(values_, [](const auto& bank) { return bank.second.empty(); })) {
      return FileError(ErrorCode::kCannotCheck, Cause::kEmpty, file_, "has no PCR values");
    }
    return std::move(values_);
  }

 private:
  Error Fail(Cause cause, const std::string& message) const {
    Error error =
        FileError(ErrorCode::kCannotCheck, cause, file_, fmt::format("line {} {}", line_, message));
    error.line = line_;
    return error;
  }

  Status Add(std::string bank, std::string_view number, std::string_view spaced) {
    const auto pcr = PcrNumber(number);
    if (!pcr) {
      return Fail(Cause::kOutOfRange, fmt::format("has no PCR {}", number));
    }
    std::string hex(spaced);
    std::erase(hex, ' ');
    const auto bytes = FromHex(hex);
    if (!bytes || bytes->empty() || bytes->size() > kMaxDigestSize) {
      return Fail(Cause::kNotHexadecimal, "has a value that is not hexadecimal");
    }
    if (bank.empty()) {
      bank = BankForSize(bytes->size());
    }
    const auto known = BankFromName(bank);
    if (bank.empty() || (known && DigestSize(known->alg) != bytes->size())) {
      return Fail(Cause::kWrongLength, fmt::format("has a value of {} bytes", bytes->size()));
    }
    if (!values_[bank].emplace(*pcr, Digest::From(*bytes)).second) {
      Error error = Fail(Cause::kDuplicate, fmt::format("gives {} PCR {} again", bank, *pcr));
      error.bank = bank;
      error.pcr = *pcr;
      return error;
    }
    return {};
  }

  const std::string file_;
  size_t line_ = 0;
  std::string bank_;
  PcrValues values_;
};

}  // namespace

Result<PcrValues> ParsePcrText(std::string_view text, const std::string& file) {
  Parser parser(file);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    IMASNAP_RETURN_IF_ERROR(parser.Line(text.substr(0, end)));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return parser.Finish();
}

}  // namespace imasnap
