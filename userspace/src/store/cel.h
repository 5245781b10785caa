// SPDX-License-Identifier: GPL-2.0-or-later
//
// Records in the TCG Canonical Event Log Format (CEL 1.0), encoded as JSON: an array of
// objects with recnum (from 0), pcr, digests, content_type ima_template, and in content
// template_name and template_data.
#ifndef IMASNAP_STORE_CEL_H_
#define IMASNAP_STORE_CEL_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "log/log_reader.h"

namespace imasnap {

// Appends the object of `record`, which is number `number` since cold boot, from 1.
// `digests` are its template digests in `algs`. The digests of a violation are those
// that the kernel extends: ones.
void AppendCel(const Record& record, uint64_t number, const std::vector<HashAlg>& algs,
               std::span<const Digest> digests, std::string* out);

}  // namespace imasnap

#endif  // IMASNAP_STORE_CEL_H_
