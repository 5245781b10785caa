// SPDX-License-Identifier: GPL-2.0-or-later
//
// The whole log as it was at one moment, readable at any offset in any format.
#ifndef IMASNAP_VIEW_LOG_INDEX_H_
#define IMASNAP_VIEW_LOG_INDEX_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "view/view_format.h"

namespace imasnap {

// Bytes [begin, end) of the raw log are those of `file` from `at` on.
struct Piece {
  uint64_t begin = 0;
  uint64_t end = 0;
  std::shared_ptr<File> file;
  uint64_t at = 0;
  // FileInfo::changed before it was read first; nothing for a file that no other
  // process can open.
  std::optional<int64_t> changed{};
  ByteView mapped{};  // all of `file`, if it can be mapped
};

// Records of a stride; only the last one has fewer.
inline constexpr uint64_t kStrideRecords = 32;

// Consecutive records: the unit of the index.
struct Stride {
  Extent begin;
  Extent end;
  // Of the raw bytes, as they were when they were first read.
  uint64_t checksum = 0;
};

// The first 8 bytes of the SHA-256.
uint64_t Checksum(ByteView bytes);

// A value: a refresh changes a copy, while readers keep the one they have. Copies share
// the files.
struct LogIndex {
  Extent end;
  std::vector<Stride> strides;     // without gaps from the first record on
  std::vector<Piece> pieces;       // without gaps from the first byte on
  std::vector<uint64_t> segments;  // the numbers of those that were added
  uint64_t kernel_begin = 0;       // where the last of them ends
  // Whether no other list begins with the record at `kernel_begin`, so that a list that
  // begins with it continues the segments.
  bool unique_head = false;
  // The first record of a template that is not known: the log cannot be shown in ASCII.
  std::optional<Error> undecoded;

  // Reads `out.size()` bytes of the raw log, which must be there.
  Status ReadRaw(uint64_t offset, std::span<std::byte> out) const;
  // Reads at most `out.size()` bytes of the log in `format`; less only at its end.
  // kMismatch if the bytes have changed since they were first read.
  Result<size_t> Read(const ViewFormat& format, uint64_t offset, std::span<std::byte> out) const;
  // The same bytes in mapped files, which must not be read directly (File::Map()).
  // Nothing if only Read() can return them, or if there are none.
  std::vector<ByteView> Mapped(const ViewFormat& format, uint64_t offset, size_t size) const;

 private:
  // Like ReadRaw(), and checks that the bytes are those that were indexed.
  Status ReadIndexed(uint64_t offset, std::span<std::byte> out) const;
  Status ReadChecked(uint64_t offset, std::span<std::byte> out) const;
  Result<bool> Unchanged(uint64_t from, uint64_t to) const;
};

// Reads the raw log from an offset on.
class IndexSource : public ByteSource {
 public:
  IndexSource(const LogIndex& index, uint64_t offset) : index_(index), offset_(offset) {}
  Result<size_t> Read(std::span<std::byte> out) override;

 private:
  const LogIndex& index_;
  uint64_t offset_;
};

}  // namespace imasnap

#endif  // IMASNAP_VIEW_LOG_INDEX_H_
