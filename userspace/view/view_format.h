// SPDX-License-Identifier: GPL-2.0-or-later
//
// The formats in which the kernel, and the view, show a log.
#ifndef IMASNAP_VIEW_VIEW_FORMAT_H_
#define IMASNAP_VIEW_VIEW_FORMAT_H_

#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"

namespace imasnap {

struct Record;

// The format of (ascii|binary)_runtime_measurements_<alg>.
struct ViewFormat {
  bool ascii = false;
  HashAlg alg = HashAlg::kSha1;
  // The kernel has no code for `alg` and shows the SHA-1 digest, padded.
  bool padded_sha1 = false;
};

// The size of a part of a log. Formats of one kind differ only in the size of their
// digests, so the size in one of them gives that in the others.
struct Extent {
  uint64_t records = 0;
  uint64_t raw = 0;    // bytes of binary_runtime_measurements
  uint64_t ascii = 0;  // bytes of ascii_runtime_measurements

  uint64_t BytesIn(const ViewFormat& format) const;
};

// The bytes of the record's line in ascii_runtime_measurements; 0 if it cannot be
// printed (CheckDecoded()).
class AsciiMeter {
 public:
  uint64_t Measure(const Record& record);

 private:
  std::string line_;
};

// Fills `out` with the bytes that the records `raw` (whole ones, with SHA-1 headers)
// have in `format` from `offset` on; their first byte there is at `begin`. Template
// digests are only computed for the records that are shown. `name` is the file in
// errors.
Status Render(ByteView raw, const std::string& name, const ViewFormat& format, uint64_t begin,
              uint64_t offset, std::span<std::byte> out);

}  // namespace imasnap

#endif  // IMASNAP_VIEW_VIEW_FORMAT_H_
