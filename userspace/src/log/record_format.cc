// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/record_format.h"

#include <fmt/format.h>

#include <array>

namespace imasnap {
namespace {

// A format string would take noticeable time here: this runs for every record.
void AppendDecimal(uint64_t value, std::string* out) {
  const fmt::format_int text(value);
  out->append(text.data(), text.size());
}

void AppendField(const FieldType& type, ByteView field, ByteOrder order, std::string* out) {
  switch (type.kind) {
    case FieldKind::kDigestAlg:
    case FieldKind::kDigestTypeAlg: {
      // ima_show_template_data_ascii(): the tag is left out when it is ":".
      const std::string_view text = AsText(field);
      const size_t nul = text.find('\0');
      if (nul > 1) {
        out->append(text.substr(0, nul));
      }
      AppendHex(field.subspan(nul + 1), out);
      break;
    }
    case FieldKind::kDigest:
    case FieldKind::kHex:
      AppendHex(field, out);
      break;
    case FieldKind::kString:
      out->append(StringField(field));
      break;
    case FieldKind::kUint:
      AppendDecimal(LoadUint(field, order), out);
      break;
  }
}

}  // namespace

Status CheckDecoded(const Record& record, const std::string& file) {
  if (record.tmpl != nullptr) {
    return {};
  }
  Error error = FileError(ErrorCode::kFailed, Cause::kUnknownName, file,
                          fmt::format("the fields of template {} are not known, so the record "
                                      "cannot be printed",
                                      Printable(record.template_name)));
  error.record = record.number;
  error.offset = record.offset;
  return error;
}

void AppendAscii(const Record& record, ByteView digest, std::string* out) {
  if (record.pcr < 10) {
    out->push_back(' ');
  }
  AppendDecimal(record.pcr, out);
  out->push_back(' ');
  AppendHex(digest, out);
  out->push_back(' ');
  out->append(record.template_name);
  for (size_t i = 0; i < record.fields.size(); ++i) {
    out->push_back(' ');
    if (!record.fields[i].empty()) {
      AppendField(*record.tmpl->fields[i], record.fields[i], record.order, out);
    }
  }
  out->push_back('\n');
}

void AppendBinary(const Record& record, ByteView digest, Bytes* out) {
  AppendBytes(record.raw.first(4), out);
  AppendBytes(digest, out);
  AppendBytes(record.raw.subspan(4 + record.digest.size()), out);
}

Digest TemplateDigest(const Record& record, Hasher* hasher) {
  if (record.template_name != "ima") {
    hasher->Update(record.template_data);
    return hasher->Finish();
  }
  const ByteView name = record.template_data.subspan(kImaDigestSize + 4);
  std::array<std::byte, kImaEventNameMax + 1> padded{};
  std::copy(name.begin(), name.end(), padded.begin());
  hasher->Update(record.template_data.first(kImaDigestSize));
  hasher->Update(padded);
  return hasher->Finish();
}

}  // namespace imasnap
