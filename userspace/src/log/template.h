// SPDX-License-Identifier: GPL-2.0-or-later
//
// Templates and their fields: security/integrity/ima/ima_template.c (names and
// formats) and ima_template_lib.c (what each field holds and how it is shown).
#ifndef IMASNAP_LOG_TEMPLATE_H_
#define IMASNAP_LOG_TEMPLATE_H_

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace imasnap {

// How the kernel shows a field (enum data_formats in ima_template_lib.c).
enum class FieldKind {
  kDigest,         // d: the digest alone
  kDigestAlg,      // d-ng, d-modsig: "<alg>:" NUL digest
  kDigestTypeAlg,  // d-ngv2: "<type>:<alg>:" NUL digest
  kString,         // n, n-ng, xattrnames: NUL-terminated
  kHex,            // sig, buf, modsig, evmsig, xattrlengths, xattrvalues
  kUint,           // iuid, igid (4 bytes), imode (2 bytes)
};

struct FieldType {
  std::string_view id;
  FieldKind kind;
  // Whether the kernel leaves the field empty if it has no value.
  bool may_be_empty;
};

struct Template {
  std::string name;  // as in the log: the name, or the format of a custom one
  std::vector<const FieldType*> fields;
  // The original `ima` template, whose records carry no length of their data
  // and whose digest is taken over padded fields.
  bool is_ima = false;
};

// IMA_TEMPLATE_NUM_FIELDS_MAX and IMA_TEMPLATE_FIELD_ID_MAX_LEN of ima.h.
inline constexpr size_t kMaxTemplateFields = 15;
inline constexpr size_t kMaxFieldIdLength = 16;
// Longest name: 15 field names of 16 characters and the bars between them.
inline constexpr size_t kMaxTemplateName = kMaxTemplateFields * (kMaxFieldIdLength + 1) - 1;
// IMA_EVENT_NAME_LEN_MAX: the longest name of the `ima` template, without NUL.
inline constexpr size_t kImaEventNameMax = 255;
// The digest of the `ima` template's `d` field in a log. (The kernel could write 16
// bytes when booted with ima_hash=md5; the format has no length there, so such a log
// cannot be recognized and is not supported.)
inline constexpr size_t kImaDigestSize = 20;

// Finds templates by the name a record gives: a built-in name, or a custom
// format of known fields such as "d-ng|n-ng|sig". Pointers stay valid as long
// as the cache.
class TemplateCache {
 public:
  // Null if the name is neither, or if there are more formats than the kernels of one
  // boot can have. This bounds the time of a lookup and the memory.
  const Template* Find(std::string_view name);

 private:
  std::deque<Template> known_;
  const Template* last_ = nullptr;
};

// The fields of one record, in the template's order; views of the record.
using FieldViews = std::vector<ByteView>;

// Splits `data` (a record's template data) and checks each field's own format. In a
// violation a digest may have 20 bytes whatever its algorithm: kernels wrote that.
// Errors have `offset` within `data`.
Status ParseFields(const Template& tmpl, ByteView data, ByteOrder order, bool violation,
                   FieldViews* fields);
// The same for a template that is not known: every template but `ima` has its fields
// one after the other, each after its length.
Status SplitFields(ByteView data, ByteOrder order, FieldViews* fields);

// A digest field taken apart. `type` is empty but for d-ngv2, `alg` for `d`.
struct DigestField {
  std::string_view type;
  std::string_view alg;
  ByteView digest;
};
// `field` must have passed ParseFields() and not be empty.
DigestField SplitDigestField(FieldKind kind, ByteView field);

// The text of a kString field, without its NUL.
std::string_view StringField(ByteView field);

// The record's event name: its first `n` or `n-ng` field; empty without one.
std::string_view EventName(const Template& tmpl, const FieldViews& fields);
// The first field with this id; nothing without one.
std::optional<ByteView> FindField(const Template& tmpl, const FieldViews& fields,
                                  std::string_view id);

}  // namespace imasnap

#endif  // IMASNAP_LOG_TEMPLATE_H_
