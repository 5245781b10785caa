// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "log/replay.h"

namespace imasnap {
namespace {

using Json = nlohmann::json;
// For writing: it keeps the order of its members, and looks for one among all.
using OrderedJson = nlohmann::ordered_json;

constexpr size_t kMaxText = 256;  // bytes of a string; uname(2)'s have 64
constexpr size_t kMaxBanks = 16;  // as in an aggregate

// Takes members out of an object, remembering the first thing that is wrong.
class Members {
 public:
  Members(const Json& object, std::string file) : object_(object), file_(std::move(file)) {}

  uint64_t Number(const char* name, uint64_t max = std::numeric_limits<uint64_t>::max()) {
    const Json* value = Find(name);
    if (value == nullptr) {
      return 0;
    }
    if (!value->is_number_unsigned() || value->get<uint64_t>() > max) {
      Fail(name, "is not a number in range");
      return 0;
    }
    return value->get<uint64_t>();
  }

  std::optional<uint64_t> NumberOrNull(const char* name,
                                       uint64_t max = std::numeric_limits<uint64_t>::max()) {
    const Json* value = Find(name);
    if (value == nullptr || value->is_null()) {
      return std::nullopt;
    }
    return Number(name, max);
  }

  std::string TextIfAny(const char* name) {
    return object_.contains(name) ? Text(name) : std::string();
  }

  std::string Text(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr) {
      return {};
    }
    if (!value->is_string()) {
      Fail(name, "is not a string");
      return {};
    }
    auto text = value->get<std::string>();
    if (text.size() > kMaxText) {
      Fail(name, fmt::format("is longer than {} bytes", kMaxText));
      return {};
    }
    return text;
  }

  Digest Hash(const char* name, HashAlg alg) {
    const auto bytes = FromHex(Text(name));
    if (!bytes || bytes->size() != DigestSize(alg)) {
      Fail(name, fmt::format("is not a {} digest", HashName(alg)));
      return {};
    }
    return Digest::From(*bytes);
  }

  std::vector<Aggregate::BankValues> Banks(const char* name) {
    std::vector<Aggregate::BankValues> banks;
    const Json* value = Find(name);
    if (value == nullptr) {
      return banks;
    }
    if (!value->is_object()) {
      Fail(name, "is not an object");
      return banks;
    }
    if (value->size() > kMaxBanks) {
      Fail(name, fmt::format("has more than {} banks", kMaxBanks));
      return banks;
    }
    for (const auto& [bank_name, pcrs] : value->items()) {
      Aggregate::BankValues bank;
      bank.name = bank_name;
      if (!pcrs.is_object()) {
        Fail(name, "has a bank that is not an object");
        return banks;
      }
      for (const auto& [pcr_name, hex] : pcrs.items()) {
        const auto pcr = ParseDecimal(pcr_name);
        const auto bytes = hex.is_string() ? FromHex(hex.get<std::string>()) : std::nullopt;
        if (!pcr || *pcr >= kTpmPcrs || !bytes || bytes->size() > kMaxDigestSize) {
          Fail(name, "has a PCR that is none");
          return banks;
        }
        bank.pcrs.emplace(static_cast<uint32_t>(*pcr), Digest::From(*bytes));
      }
      banks.push_back(std::move(bank));
    }
    return banks;
  }

  Status Finish() {
    if (problem_.empty()) {
      for (const auto& [name, value] : object_.items()) {
        if (!seen_.contains(name)) {
          Fail(name, "is not a member of this format");
        }
      }
    }
    if (!problem_.empty()) {
      return FileError(ErrorCode::kMalformed, file_, problem_);
    }
    return {};
  }

 private:
  const Json* Find(const char* name) {
    seen_.insert(name);
    const auto it = object_.find(name);
    if (it == object_.end()) {
      Fail(name, "is missing");
      return nullptr;
    }
    return &*it;
  }

  void Fail(const std::string& name, const std::string& message) {
    if (problem_.empty()) {
      problem_ = fmt::format("\"{}\" {}", Printable(name), message);
    }
  }

  const Json& object_;
  const std::string file_;
  std::set<std::string> seen_;
  std::string problem_;
};

Result<Json> ParseObject(std::string_view text, const std::string& file) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return FileError(ErrorCode::kMalformed, file, "is not a JSON object");
  }
  return json;
}

template <typename T>
OrderedJson OrNull(const std::optional<T>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

// Strings come from uname(2) and may have any bytes, which must not cause an exception.
std::string Dump(const OrderedJson& json) {
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace

const char* StateName(SegmentState state) {
  switch (state) {
    case SegmentState::kStored:
      return "stored";
    case SegmentState::kPurged:
      return "purged";
    case SegmentState::kDiscarded:
      break;
  }
  return "discarded";
}

std::string FormatSession(const SessionInfo& info) {
  OrderedJson json;
  json["format"] = kStoreFormat;
  json["session"] = info.id;
  json["created"] = info.created;
  json["kernel"] = info.kernel;
  json["tpm_reset_count"] = OrNull(info.reset_count);
  json["machine"] = info.machine;
  json["boot"] = info.boot;
  json["last_boot"] = info.last_boot;
  json["closed"] = info.closed;
  return Dump(json);
}

std::string FormatSegment(const SegmentInfo& info) {
  OrderedJson json;
  json["format"] = kStoreFormat;
  json["segment"] = info.number;
  json["attempt"] = info.attempt;
  json["records"] = info.records;
  json["bytes"] = info.bytes;
  json["sha256"] = info.sha256.Hex();
  json["first_record"] = info.first_record;
  json["last_record"] = info.last_record;
  json["taken"] = info.taken;
  json["kernel"] = info.kernel;
  json["state"] = StateName(info.state);
  json["supersedes"] = OrNull(info.supersedes);
  OrderedJson banks = OrderedJson::object();
  for (const Aggregate::BankValues& bank : info.banks) {
    OrderedJson pcrs = OrderedJson::object();
    for (const auto& [pcr, value] : bank.pcrs) {
      pcrs[std::to_string(pcr)] = value.Hex();
    }
    banks[bank.name] = std::move(pcrs);
  }
  json["pcrs"] = std::move(banks);
  return Dump(json);
}

Result<SessionInfo> ParseSession(std::string_view text, const std::string& file) {
  IMASNAP_ASSIGN(const Json json, ParseObject(text, file));
  Members members(json, file);
  SessionInfo info;
  const uint64_t format = members.Number("format");
  info.id = members.Number("session");
  info.created = members.Text("created");
  info.kernel = members.Text("kernel");
  const auto reset = members.NumberOrNull("tpm_reset_count", std::numeric_limits<uint32_t>::max());
  if (reset) {
    info.reset_count = static_cast<uint32_t>(*reset);
  }
  info.machine = members.TextIfAny("machine");
  info.boot = members.TextIfAny("boot");
  info.last_boot = members.TextIfAny("last_boot");
  info.closed = members.TextIfAny("closed");
  IMASNAP_RETURN_IF_ERROR(members.Finish());
  if (format != kStoreFormat) {
    return FileError(ErrorCode::kMalformed, file,
                     fmt::format("format {} is not known; a newer version wrote it", format));
  }
  return info;
}

Result<SegmentInfo> ParseSegment(std::string_view text, const std::string& file) {
  IMASNAP_ASSIGN(const Json json, ParseObject(text, file));
  Members members(json, file);
  SegmentInfo info;
  const uint64_t format = members.Number("format");
  info.number = members.Number("segment");
  info.attempt = members.Number("attempt");
  info.records = members.Number("records");
  info.bytes = members.Number("bytes");
  info.sha256 = members.Hash("sha256", HashAlg::kSha256);
  info.first_record = members.Number("first_record");
  info.last_record = members.Number("last_record");
  info.taken = members.Text("taken");
  info.kernel = members.Text("kernel");
  const std::string state = members.Text("state");
  constexpr std::array kStates = {SegmentState::kStored, SegmentState::kPurged,
                                  SegmentState::kDiscarded};
  const auto* known = std::ranges::find(kStates, state, StateName);
  info.supersedes = members.NumberOrNull("supersedes");
  info.banks = members.Banks("pcrs");
  IMASNAP_RETURN_IF_ERROR(members.Finish());
  if (format != kStoreFormat) {
    return FileError(ErrorCode::kMalformed, file,
                     fmt::format("format {} is not known; a newer version wrote it", format));
  }
  if (known == std::end(kStates)) {
    return FileError(ErrorCode::kMalformed, file,
                     "\"state\" is neither stored nor purged nor discarded");
  }
  info.state = *known;
  return info;
}

}  // namespace imasnap
