// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/own_json.h"

#include "base/bytes.h"

namespace imasnap::own_json {
namespace {

constexpr size_t kMaxText = 256;  // bytes of a string; uname(2)'s have 64

}  // namespace

uint64_t ToNumber(const Json& json) { return json.get_ref<const Json::number_unsigned_t&>(); }

std::optional<uint64_t> ToNumberOrNull(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(ToNumber(json));
}

std::string ToText(const Json& json) {
  return json.get_ref<const std::string&>().substr(0, kMaxText);
}

Digest ToDigest(const Json& json) {
  const auto bytes = FromHex(json.get_ref<const std::string&>());
  return bytes && bytes->size() <= kMaxDigestSize ? Digest::From(*bytes) : Digest();
}

OrderedJson FromPcrs(const std::map<uint32_t, Digest>& pcrs) {
  OrderedJson json = OrderedJson::object();
  for (const auto& [pcr, value] : pcrs) {
    json[std::to_string(pcr)] = value.Hex();
  }
  return json;
}

std::optional<std::map<uint32_t, Digest>> ToPcrs(const Json& json, uint32_t limit) {
  std::map<uint32_t, Digest> pcrs;
  for (const auto& [name, value] : json.items()) {
    const auto pcr = ParseDecimal(name);
    if (!pcr || *pcr >= limit) {
      return std::nullopt;
    }
    pcrs.emplace(static_cast<uint32_t>(*pcr), ToDigest(value));
  }
  return pcrs;
}

}  // namespace imasnap::own_json
