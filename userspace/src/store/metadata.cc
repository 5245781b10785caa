// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/metadata.h"

#include <algorithm>
#include <array>
#include <map>

#include "log/replay.h"
#include "store/own_json.h"

namespace imasnap {
namespace {

using own_json::Json;
using own_json::OrderedJson;

constexpr size_t kMaxBanks = 16;  // as in an aggregate

// Strings come from uname(2) and may have any bytes, which must not cause an exception.
std::string Dump(const OrderedJson& json) {
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

std::optional<SessionInfo> ToSession(const Json& json) {
  SessionInfo info;
  info.id = own_json::ToNumber(json.at("session"));
  info.created = own_json::ToText(json.at("created"));
  info.kernel = own_json::ToText(json.at("kernel"));
  if (const auto count = own_json::ToNumberOrNull(json.at("tpm_reset_count"))) {
    info.reset_count = static_cast<uint32_t>(*count);
  }
  info.machine = own_json::ToText(json.at("machine"));
  info.boot = own_json::ToText(json.at("boot"));
  info.last_boot = own_json::ToText(json.at("last_boot"));
  info.closed = own_json::ToText(json.at("closed"));
  return info;
}

std::optional<SegmentInfo> ToSegment(const Json& json) {
  SegmentInfo info;
  info.number = own_json::ToNumber(json.at("segment"));
  info.attempt = own_json::ToNumber(json.at("attempt"));
  info.records = own_json::ToNumber(json.at("records"));
  info.bytes = own_json::ToNumber(json.at("bytes"));
  info.sha256 = own_json::ToDigest(json.at("sha256"));
  info.first_record = own_json::ToNumber(json.at("first_record"));
  info.last_record = own_json::ToNumber(json.at("last_record"));
  info.taken = own_json::ToText(json.at("taken"));
  info.kernel = own_json::ToText(json.at("kernel"));
  info.supersedes = own_json::ToNumberOrNull(json.at("supersedes"));
  constexpr std::array kStates = {SegmentState::kStored, SegmentState::kPurged,
                                  SegmentState::kDiscarded};
  const auto* state = std::ranges::find(kStates, own_json::ToText(json.at("state")), StateName);
  const Json& banks = json.at("pcrs");
  if (state == kStates.end() || info.sha256.size != DigestSize(HashAlg::kSha256) ||
      banks.size() > kMaxBanks) {
    return std::nullopt;
  }
  info.state = *state;
  for (const auto& [name, values] : banks.items()) {
    auto pcrs = own_json::ToPcrs(values, kTpmPcrs);
    if (!pcrs) {
      return std::nullopt;
    }
    info.banks.push_back({.name = name, .pcrs = std::move(*pcrs)});
  }
  return info;
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
  json["tpm_reset_count"] = own_json::OrNull(info.reset_count);
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
  json["supersedes"] = own_json::OrNull(info.supersedes);
  std::map<std::string, OrderedJson> banks;  // they are read in this order
  for (const Aggregate::BankValues& bank : info.banks) {
    banks[bank.name] = own_json::FromPcrs(bank.pcrs);
  }
  json["pcrs"] = banks;
  return Dump(json);
}

Result<SessionInfo> ParseSession(std::string_view text, const std::string& file) {
  return own_json::Read(text, file, kStoreFormat, ToSession, FormatSession);
}

Result<SegmentInfo> ParseSegment(std::string_view text, const std::string& file) {
  return own_json::Read(text, file, kStoreFormat, ToSegment, FormatSegment);
}

}  // namespace imasnap
