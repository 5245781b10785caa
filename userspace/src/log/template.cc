// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/template.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/hash.h"

namespace imasnap {
namespace {

constexpr auto kFieldTypes = std::to_array<FieldType>({
    {"d", FieldKind::kDigest, false},
    {"n", FieldKind::kString, false},
    {"d-ng", FieldKind::kDigestAlg, false},
    {"d-ngv2", FieldKind::kDigestTypeAlg, false},
    {"n-ng", FieldKind::kString, false},
    {"sig", FieldKind::kHex, true},
    {"buf", FieldKind::kHex, true},
    {"d-modsig", FieldKind::kDigestAlg, true},
    {"modsig", FieldKind::kHex, true},
    {"evmsig", FieldKind::kHex, true},
    {"iuid", FieldKind::kUint, true},
    {"igid", FieldKind::kUint, true},
    {"imode", FieldKind::kUint, true},
    {"xattrnames", FieldKind::kString, true},
    {"xattrlengths", FieldKind::kHex, true},
    {"xattrvalues", FieldKind::kHex, true},
});

constexpr size_t kMaxTemplates = 64;  // the built-in ones, and one for each kernel before a kexec
// Of the digest of a violation in kernels that wrote that of SHA-1 under every name.
constexpr size_t kViolationDigestSize = 20;

struct Builtin {
  std::string_view name;
  std::string_view format;
};

constexpr auto kBuiltins = std::to_array<Builtin>({
    {"ima", "d|n"},
    {"ima-ng", "d-ng|n-ng"},
    {"ima-sig", "d-ng|n-ng|sig"},
    {"ima-ngv2", "d-ngv2|n-ng"},
    {"ima-sigv2", "d-ngv2|n-ng|sig"},
    {"ima-buf", "d-ng|n-ng|buf"},
    {"ima-modsig", "d-ng|n-ng|sig|d-modsig|modsig"},
    {"evm-sig", "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode"},
});

const FieldType* FindFieldType(std::string_view id) {
  const auto* it = std::ranges::find(kFieldTypes, id, &FieldType::id);
  return it == std::end(kFieldTypes) ? nullptr : it;
}

bool ParseFormat(std::string_view format, std::vector<const FieldType*>* fields) {
  while (true) {
    const size_t bar = format.find('|');
    const FieldType* type = FindFieldType(format.substr(0, bar));
    if (type == nullptr || fields->size() == kMaxTemplateFields) {
      return false;
    }
    fields->push_back(type);
    if (bar == std::string_view::npos) {
      return true;
    }
    format.remove_prefix(bar + 1);
  }
}

Error FieldError(const FieldType& type, size_t offset, Cause cause, const std::string& message) {
  Error error =
      MakeError(ErrorCode::kMalformed, cause, fmt::format("field {}: {}", type.id, message));
  error.offset = offset;
  return error;
}

struct FieldProblem {
  Cause cause;
  const char* message;
};

// "<alg>:" NUL digest, with "<type>:" before it for kDigestTypeAlg. An empty
// algorithm was written by kernels that did not know it.
std::optional<FieldProblem> CheckTaggedDigest(FieldKind kind, ByteView field, bool violation) {
  const std::string_view text = AsText(field);
  const size_t nul = text.find('\0');
  if (nul == std::string_view::npos || nul == 0 || text[nul - 1] != ':') {
    return FieldProblem{Cause::kNoAlgorithm, "no algorithm that ends in ':' and a NUL"};
  }
  const DigestField digest = SplitDigestField(kind, field);
  if (kind == FieldKind::kDigestTypeAlg) {
    if (digest.type != "ima" && digest.type != "verity") {
      return FieldProblem{Cause::kDigestType, "digest type is neither ima nor verity"};
    }
  } else if (digest.alg.find(':') != std::string_view::npos) {
    return FieldProblem{Cause::kSyntax, "more than one ':' before the digest"};
  }
  const auto size = KernelDigestSize(digest.alg);
  const bool of_violation = violation && digest.digest.size() == kViolationDigestSize;
  if (size && *size != digest.digest.size() && !of_violation) {
    return FieldProblem{Cause::kWrongLength, "digest length is not the algorithm's"};
  }
  if (digest.digest.empty()) {
    return FieldProblem{Cause::kEmpty, "digest is empty"};
  }
  for (char c : digest.alg) {
    if (c <= ' ' || c > '~') {
      return FieldProblem{Cause::kNotPrintable,
                          "algorithm name has a character that is not printable"};
    }
  }
  return std::nullopt;
}

std::optional<FieldProblem> CheckField(const FieldType& type, ByteView field, bool violation) {
  const auto fails = [](bool bad, Cause cause, const char* message) {
    return bad ? std::optional<FieldProblem>({cause, message}) : std::nullopt;
  };
  if (field.empty()) {
    return fails(!type.may_be_empty, Cause::kEmpty, "is empty");
  }
  switch (type.kind) {
    case FieldKind::kDigest:
      return fails(field.size() != 16 && field.size() != kImaDigestSize, Cause::kWrongLength,
                   "digest has neither 16 nor 20 bytes");
    case FieldKind::kDigestAlg:
    case FieldKind::kDigestTypeAlg:
      return CheckTaggedDigest(type.kind, field, violation);
    case FieldKind::kString:
      return fails(AsText(field).find('\0') != field.size() - 1, Cause::kNoTerminator,
                   "string does not end at its first NUL");
    case FieldKind::kUint:
      return fails(field.size() != (type.id == "imode" ? 2U : 4U), Cause::kWrongLength,
                   "integer has the wrong size");
    case FieldKind::kHex:
      break;
  }
  return std::nullopt;
}

// Template data of `ima`: 20 bytes, a length, and a name without NUL. Field n
// is returned without its (absent) NUL.
Status ParseImaFields(const Template& tmpl, ByteView data, ByteOrder order, FieldViews* fields) {
  if (data.size() < kImaDigestSize + 4) {
    return FieldError(*tmpl.fields[0], data.size(), Cause::kMissing, "data ends early");
  }
  const ByteView name = data.subspan(kImaDigestSize + 4);
  const uint32_t length = LoadU32(data.subspan(kImaDigestSize), order);
  if (length != name.size() || length > kImaEventNameMax) {
    return FieldError(*tmpl.fields[1], kImaDigestSize, Cause::kWrongLength, "wrong length");
  }
  if (AsText(name).find('\0') != std::string_view::npos) {
    return FieldError(*tmpl.fields[1], kImaDigestSize + 4, Cause::kNoTerminator, "NUL in the name");
  }
  *fields = {data.first(kImaDigestSize), name};
  return {};
}

}  // namespace

const Template* TemplateCache::Find(std::string_view name) {
  if (last_ != nullptr && last_->name == name) {
    return last_;
  }
  for (const Template& tmpl : known_) {
    if (tmpl.name == name) {
      return last_ = &tmpl;
    }
  }
  const auto* builtin = std::ranges::find(kBuiltins, name, &Builtin::name);
  const bool is_builtin = builtin != std::end(kBuiltins);
  if (known_.size() >= kMaxTemplates && !is_builtin) {
    return nullptr;
  }
  Template tmpl;
  if (!ParseFormat(is_builtin ? builtin->format : name, &tmpl.fields)) {
    return nullptr;
  }
  tmpl.name = name;
  tmpl.is_ima = name == "ima";
  known_.push_back(std::move(tmpl));
  return last_ = &known_.back();
}

namespace {

// The field at `*at`, after its length; `*at` is then after the field.
Result<ByteView> TakeField(ByteView data, ByteOrder order, size_t* at) {
  const auto fail = [at](Cause cause, std::string message) {
    Error error = MakeError(ErrorCode::kMalformed, cause, std::move(message));
    error.offset = *at;
    return error;
  };
  if (data.size() - *at < 4) {
    return fail(Cause::kMissing, "template data ends before its length");
  }
  const uint32_t length = LoadU32(data.subspan(*at), order);
  if (length > data.size() - *at - 4) {
    return fail(Cause::kWrongLength,
                fmt::format("length {} passes the end of the template data", length));
  }
  const ByteView field = data.subspan(*at + 4, length);
  *at += 4 + length;
  return field;
}

}  // namespace

Status ParseFields(const Template& tmpl, ByteView data, ByteOrder order, bool violation,
                   FieldViews* fields) {
  fields->clear();
  if (tmpl.is_ima) {
    return ParseImaFields(tmpl, data, order, fields);
  }
  size_t at = 0;
  for (const FieldType* type : tmpl.fields) {
    const auto field = TakeField(data, order, &at);
    if (!field.ok()) {
      return FieldError(*type, at, field.error().cause, field.error().message);
    }
    if (const auto problem = CheckField(*type, *field, violation)) {
      return FieldError(*type, at - field->size(), problem->cause, problem->message);
    }
    fields->push_back(*field);
  }
  if (at != data.size()) {
    Error error = MakeError(ErrorCode::kMalformed, Cause::kTrailingBytes,
                            fmt::format("{} bytes after the last field", data.size() - at));
    error.offset = at;
    return error;
  }
  return {};
}

Status SplitFields(ByteView data, ByteOrder order, FieldViews* fields) {
  fields->clear();
  for (size_t at = 0; at < data.size();) {
    IMASNAP_ASSIGN(const ByteView field, TakeField(data, order, &at));
    if (fields->size() == kMaxTemplateFields) {
      return MakeError(ErrorCode::kMalformed, Cause::kTooMany, "more fields than a template has");
    }
    fields->push_back(field);
  }
  return {};
}

DigestField SplitDigestField(FieldKind kind, ByteView field) {
  DigestField out;
  if (kind == FieldKind::kDigest) {
    out.digest = field;
    return out;
  }
  const std::string_view text = AsText(field);
  const size_t nul = text.find('\0');
  std::string_view tag = text.substr(0, nul - 1);
  if (kind == FieldKind::kDigestTypeAlg) {
    const size_t colon = tag.find(':');
    if (colon != std::string_view::npos) {
      out.type = tag.substr(0, colon);
      tag.remove_prefix(colon + 1);
    }
  }
  out.alg = tag;
  out.digest = field.subspan(nul + 1);
  return out;
}

std::string_view StringField(ByteView field) {
  std::string_view text = AsText(field);
  if (!text.empty() && text.back() == '\0') {
    text.remove_suffix(1);
  }
  return text;
}

std::string_view EventName(const Template& tmpl, const FieldViews& fields) {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (tmpl.fields[i]->id == "n-ng" || tmpl.fields[i]->id == "n") {
      return StringField(fields[i]);
    }
  }
  return {};
}

std::optional<ByteView> FindField(const Template& tmpl, const FieldViews& fields,
                                  std::string_view id) {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (tmpl.fields[i]->id == id) {
      return fields[i];
    }
  }
  return std::nullopt;
}

}  // namespace imasnap
