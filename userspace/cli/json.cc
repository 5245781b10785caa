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

}  // namespace

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
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
  Json fields = Json::object();
  for (size_t i = 0; i < record.fields.size(); ++i) {
    const FieldType& type = *record.tmpl->fields[i];
    fields[std::string(type.id)] = FieldJson(type, record.fields[i], record.order);
  }
  json["fields"] = std::move(fields);
  return json;
}

}  // namespace imasnap::cli
