// SPDX-License-Identifier: GPL-2.0-or-later
//
// Builds logs as the kernel would: records of every template, and aggregates.
// It shares no code with the parser and replay under test, and the hashes are
// OpenSSL's.
#ifndef IMASNAP_TESTS_LOG_BUILDER_H_
#define IMASNAP_TESTS_LOG_BUILDER_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"

namespace imasnap::testing {

Digest HashOf(HashAlg alg, ByteView data);
Digest HashOf(HashAlg alg, std::string_view text);

// Field contents, as ima_template_lib.c writes them.
Bytes DigestNg(std::string_view alg, ByteView digest);
Bytes DigestNgV2(std::string_view type, std::string_view alg, ByteView digest);
Bytes NameField(std::string_view name);  // with its NUL
Bytes RawField(std::string_view text);

struct BuiltRecord {
  uint32_t pcr = 10;
  std::string template_name = "ima-ng";
  std::vector<Bytes> fields;
  bool violation = false;

  // Template data as hashed in all templates but `ima`.
  Bytes Data(ByteOrder order = ByteOrder::kLittle) const;
  Digest TemplateDigest(HashAlg alg, ByteOrder order = ByteOrder::kLittle) const;
  Bytes Binary(HashAlg header = HashAlg::kSha1, ByteOrder order = ByteOrder::kLittle) const;
};

// An ima-ng record of a file whose content is its own name.
BuiltRecord NgRecord(std::string_view name, uint32_t pcr = 10);
BuiltRecord Violation(std::string_view name);
BuiltRecord BufRecord(std::string_view name, std::string_view buffer);
BuiltRecord ImaRecord(std::string_view name);
// One record of each template the kernel has, and of two custom formats.
std::vector<BuiltRecord> EveryTemplate();

Bytes Concatenate(const std::vector<BuiltRecord>& records, HashAlg header = HashAlg::kSha1,
                  ByteOrder order = ByteOrder::kLittle);

}  // namespace imasnap::testing

#endif  // IMASNAP_TESTS_LOG_BUILDER_H_
