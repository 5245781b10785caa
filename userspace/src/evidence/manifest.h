// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a file of evidence has, and in which order. It is a tar archive (pax):
//
//   manifest.json     what follows
//   session.json      the store's, if the boot has a session
//   quote.msg         TPMS_ATTEST
//   quote.sig         TPMT_SIGNATURE
//   quote.pcrs.txt    the values that were quoted, as tpm2_pcrread prints them
//   before.json       metadata of the segment after which the log begins; absent if it
//                     is whole
//   NNNNNNNN.json     metadata of each segment that follows
//   NNNNNNNN.ima      each of these segments
//   staged.ima        staged records, if there are any
//   live.ima          the kernel's list
//
// Metadata and manifest are claims of the machine: only the quote proves the records.
#ifndef IMASNAP_EVIDENCE_MANIFEST_H_
#define IMASNAP_EVIDENCE_MANIFEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/metadata.h"

namespace imasnap {

inline constexpr uint64_t kEvidenceFormat = 1;
// A verifier holds the metadata of all segments in memory.
inline constexpr uint64_t kMaxEvidenceSegments = 16384;

inline constexpr const char* kManifestEntry = "manifest.json";
inline constexpr const char* kSessionEntry = "session.json";
inline constexpr const char* kQuoteEntry = "quote.msg";
inline constexpr const char* kSignatureEntry = "quote.sig";
inline constexpr const char* kPcrsEntry = "quote.pcrs.txt";
inline constexpr const char* kBeforeEntry = "before.json";
inline constexpr const char* kStagedEntry = "staged.ima";
inline constexpr const char* kLiveEntry = "live.ima";

struct Manifest {
  bool session = false;            // session.json is there
  bool before = false;             // before.json is
  bool staged = false;             // staged.ima is
  std::vector<uint64_t> segments;  // their numbers, ascending

  bool operator==(const Manifest&) const = default;
};

std::string FormatManifest(const Manifest& manifest);
// Strict: FormatManifest() of the result is `text`. kMalformed.
Result<Manifest> ParseManifest(std::string_view text, const std::string& file);

}  // namespace imasnap

#endif  // IMASNAP_EVIDENCE_MANIFEST_H_
