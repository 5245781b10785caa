// SPDX-License-Identifier: GPL-2.0-or-later
#include "evidence/manifest.h"

#include "store/own_json.h"

namespace imasnap {
namespace {

std::optional<Manifest> FromJson(const own_json::Json& json) {
  Manifest manifest;
  manifest.session = json.at("session").get<bool>();
  manifest.before = json.at("before").get<bool>();
  manifest.staged = json.at("staged").get<bool>();
  const own_json::Json& segments = json.at("segments");
  if (!segments.is_array() || segments.size() > kMaxEvidenceSegments) {
    return std::nullopt;
  }
  for (const own_json::Json& segment : segments) {
    const uint64_t number = own_json::ToNumber(segment);
    if (number <= (manifest.segments.empty() ? 0 : manifest.segments.back())) {
      return std::nullopt;
    }
    manifest.segments.push_back(number);
  }
  return manifest;
}

}  // namespace

std::string FormatManifest(const Manifest& manifest) {
  own_json::OrderedJson json;
  json["format"] = kEvidenceFormat;
  json["session"] = manifest.session;
  json["before"] = manifest.before;
  json["staged"] = manifest.staged;
  json["segments"] = manifest.segments;
  return json.dump() + "\n";
}

Result<Manifest> ParseManifest(std::string_view text, const std::string& file) {
  return own_json::Read<Manifest>(text, file, kEvidenceFormat, FromJson, FormatManifest);
}

}  // namespace imasnap
