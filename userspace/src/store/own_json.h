// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads the JSON that these programs write for themselves: metadata and the states
// of a verifier.
#ifndef IMASNAP_STORE_OWN_JSON_H_
#define IMASNAP_STORE_OWN_JSON_H_

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"

namespace imasnap::own_json {

// For reading: it finds a member fast, however many a file has.
using Json = nlohmann::json;
// For writing: it keeps the order of its members.
using OrderedJson = nlohmann::ordered_json;

// These throw Json::exception for another type; Json's own get() would convert it.
// They change a value that is not possible, so that Read() finds a difference: a
// string is cut after 256 bytes, and a digest that is not one becomes empty.
uint64_t ToNumber(const Json& json);
std::optional<uint64_t> ToNumberOrNull(const Json& json);
std::string ToText(const Json& json);
Digest ToDigest(const Json& json);

// An object of PCR numbers and values; nothing if a number is not below `limit`.
OrderedJson FromPcrs(const std::map<uint32_t, Digest>& pcrs);
std::optional<std::map<uint32_t, Digest>> ToPcrs(const Json& json, uint32_t limit);

template <typename T>
OrderedJson OrNull(const std::optional<T>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

// Parses `text` with `from`, which returns nothing if a value makes no sense. Strict:
// `write` of the result must be `text`, so every member is there with its type, and
// no other. kMalformed; `file` is the name that errors give.
template <typename T>
Result<T> Read(std::string_view text, const std::string& file, uint64_t format,
               std::optional<T> (*from)(const Json&), std::string (*write)(const T&)) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return FileError(ErrorCode::kMalformed, Cause::kWrongType, file, "is not a JSON object");
  }
  if (const auto found = json.find("format"); found == json.end() || *found != format) {
    return FileError(
        ErrorCode::kMalformed, Cause::kUnknownFormat, file,
        fmt::format("does not have format {}; a newer version may have written it", format));
  }
  try {  // nlohmann-json reports a missing member and a wrong type by exception
    std::optional<T> object = from(json);
    if (object && write(*object) == text) {
      return std::move(*object);
    }
  } catch (const Json::exception&) {  // NOLINT(bugprone-empty-catch): reported below
  }
  return FileError(ErrorCode::kMalformed, Cause::kSyntax, file,
                   "differs from what this program writes: a member is missing, unknown or wrong");
}

}  // namespace imasnap::own_json

#endif  // IMASNAP_STORE_OWN_JSON_H_
