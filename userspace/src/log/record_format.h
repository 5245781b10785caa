// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the kernel computes and prints for a record.
#ifndef IMASNAP_LOG_RECORD_FORMAT_H_
#define IMASNAP_LOG_RECORD_FORMAT_H_

#include <string>

#include "base/hash.h"
#include "base/result.h"
#include "log/log_reader.h"

namespace imasnap {

// kFailed with Cause::kUnknownName if the record's template is not known, so that its
// fields cannot be printed.
Status CheckDecoded(const Record& record, const std::string& file);

// Appends the record's line of ascii_runtime_measurements, newline included,
// byte for byte as ima_ascii_measurements_show() prints it, with `digest` as
// the template digest. The record must have been read with Check::kStrict and have
// passed CheckDecoded().
void AppendAscii(const Record& record, ByteView digest, std::string* out);

// Appends the record in binary format with another header digest, as the
// kernel's binary_runtime_measurements_<alg> shows it.
void AppendBinary(const Record& record, ByteView digest, Bytes* out);

// The template digest over the record's data in the hash of `hasher`
// (ima_calc_field_array_hash_tfm() in ima_crypto.c): the template data unchanged, or
// for `ima` the file digest and the name padded with zeros to 256 bytes. Violations
// have no digest, so callers check Record::IsViolation() first.
Digest TemplateDigest(const Record& record, Hasher* hasher);

}  // namespace imasnap

#endif  // IMASNAP_LOG_RECORD_FORMAT_H_
