// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/json.h"

namespace imasnap::cli {
namespace {

Json FieldJson(const FieldType& type, ByteView field, ByteOrder order) {
  switch (type.kind) {
    case FieldKind::kString:
      return std::string(StringField(field));
    case FieldKind::kUint:
      return field.empty() ? Json(nullptr) : Json(LoadUint(field, order));
    case FieldKind::kHex:
      return ToHex(field);
    case FieldKind::kDigest:
    case FieldKind::kDigestAlg:
    case FieldKind::kDigestTypeAlg:
      break;
  }
  if (field.empty()) {
    return nullptr;
  }
  const DigestField digest = SplitDigestField(type.kind, field);
  Json json;
  if (!digest.type.empty()) {
    json["type"] = std::string(digest.type);
  }
  if (!digest.alg.empty()) {
    json["algorithm"] = std::string(digest.alg);
  }
  json["digest"] = ToHex(digest.digest);
  return json;
}

const char* CodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kFailed:
      return "failed";
    case ErrorCode::kRefused:
      return "refused";
    case ErrorCode::kUsage:
      return "usage";
    case ErrorCode::kMalformed:
      return "malformed";
    case ErrorCode::kMismatch:
      return "mismatch";
    case ErrorCode::kCannotCheck:
      return "cannot_check";
    case ErrorCode::kLocked:
      return "locked";
  }
  return "failed";
}

Json TextOrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json ToJson(const Error& error) {
  Json json;
  json["code"] = CodeName(error.code);
  json["cause"] = CauseName(error.cause);
  json["file"] = TextOrNull(error.file);
  json["line"] = OrNull(error.line);
  json["record"] = OrNull(error.record);
  json["offset"] = OrNull(error.offset);
  json["segment"] = OrNull(error.segment);
  json["key"] = TextOrNull(error.key);
  json["bank"] = TextOrNull(error.bank);
  json["pcr"] = OrNull(error.pcr);
  json["errno"] = error.errno_value == 0 ? Json(nullptr) : Json(error.errno_value);
  json["expected"] = TextOrNull(error.expected);
  json["found"] = TextOrNull(error.found);
  if (error.needs_after_attempt) {
    json["needs_after_attempt"] = *error.needs_after_attempt;
  }
  json["message"] = error.message;
  return json;
}

Json ToJson(const Notes& notes) {
  Json json = Json::array();
  for (const Note& note : notes) {
    json.push_back(note.text);
  }
  return json;
}

Json EventsJson(const Notes& notes) {
  Json json = Json::array();
  for (const Note& note : notes) {
    json.push_back({{"event", NoteName(note.kind)}, {"number", note.number}});
  }
  return json;
}

Json ToJson(const SegmentInfo& info) {
  Json json;
  json["segment"] = info.number;
  json["attempt"] = info.attempt == kNoAttempt ? Json(nullptr) : Json(info.attempt);
  json["records"] = info.records;
  json["bytes"] = info.bytes;
  json["sha256"] = info.sha256.Hex();
  json["first_record"] = info.first_record;
  json["last_record"] = info.last_record;
  json["taken"] = info.taken;
  json["kernel"] = info.kernel;
  json["purged"] = info.state != SegmentState::kStored;
  json["discarded"] = info.state == SegmentState::kDiscarded;
  json["supersedes"] = OrNull(info.supersedes);
  return json;
}

Json ToJson(const Segment& segment) {
  Json json;
  if (segment.info) {
    json = ToJson(*segment.info);
  } else {
    json["segment"] = segment.number;
  }
  json["path"] = segment.path;
  json["missing"] =
      !segment.has_data && !(segment.info && segment.info->state == SegmentState::kDiscarded);
  if (segment.info_error) {
    json["problem"] = segment.info_error->ToString();
  }
  return json;
}

Json ToJson(const Record& record, uint64_t number) {
  Json json;
  json["record"] = number;
  json["offset"] = record.offset;
  json["pcr"] = record.pcr;
  json["digest"] = ToHex(record.digest);
  json["violation"] = record.IsViolation();
  json["template"] = std::string(record.template_name);
  if (record.tmpl == nullptr) {
    json["fields"] = nullptr;
    json["data"] = ToHex(record.template_data);
    return json;
  }
  Json fields = Json::object();
  for (size_t i = 0; i < record.fields.size(); ++i) {
    const FieldType& type = *record.tmpl->fields[i];
    fields[std::string(type.id)] = FieldJson(type, record.fields[i], record.order);
  }
  json["fields"] = std::move(fields);
  return json;
}

}  // namespace imasnap::cli
