// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef IMASNAP_STORE_SEGMENT_WRITER_H_
#define IMASNAP_STORE_SEGMENT_WRITER_H_

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/hash.h"
#include "base/result.h"

namespace imasnap {

// Writes a new segment and hashes it. The kernel returns about a page at a time. Large
// writes at aligned offsets give large folios in the page cache, which are read faster.
class SegmentWriter {
 public:
  // `file` must be empty, and outlive the writer.
  explicit SegmentWriter(File& file) : file_(&file) {}

  Status Append(ByteView bytes);
  // Writes the rest, without syncing. Returns the SHA-256 of the segment.
  Result<Digest> Finish();
  uint64_t bytes() const { return bytes_; }

 private:
  File* file_;
  Hasher hasher_{HashAlg::kSha256};
  Bytes piece_;
  uint64_t bytes_ = 0;
};

}  // namespace imasnap

#endif  // IMASNAP_STORE_SEGMENT_WRITER_H_
