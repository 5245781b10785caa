// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/log_index.h"

#include <algorithm>

namespace imasnap {
namespace {

// The name in errors for bytes of more than one file.
constexpr const char* kWholeLog = "the whole log";
// Fewer than writev(2) accepts; for more files a copy is as fast.
constexpr size_t kMaxViews = 64;

bool IsStored(const ViewFormat& format) { return !format.ascii && format.alg == HashAlg::kSha1; }

}  // namespace

uint64_t Checksum(ByteView bytes) {
  return LoadUint(HashBytes(HashAlg::kSha256, bytes).view().first(sizeof(uint64_t)),
                  ByteOrder::kLittle);
}

Status LogIndex::ReadRaw(uint64_t offset, std::span<std::byte> out) const {
  auto piece = std::ranges::upper_bound(pieces, offset, {}, &Piece::end);
  while (!out.empty()) {
    if (piece == pieces.end()) {
      return FileError(ErrorCode::kFailed, Cause::kEndsEarly, kWholeLog, "ends early");
    }
    const size_t n = std::min<uint64_t>(out.size(), piece->end - offset);
    IMASNAP_RETURN_IF_ERROR(
        piece->file->ReadAllAt(offset - piece->begin + piece->at, out.first(n)));
    out = out.subspan(n);
    offset += n;
    ++piece;
  }
  return {};
}

// Whether the files that have [from, to) are unchanged since they were first read.
Result<bool> LogIndex::Unchanged(uint64_t from, uint64_t to) const {
  auto piece = std::ranges::upper_bound(pieces, from, {}, &Piece::end);
  for (; piece != pieces.end() && piece->begin < to; ++piece) {
    if (piece->changed) {
      IMASNAP_ASSIGN(const FileInfo info, piece->file->Stat());
      if (info.changed != *piece->changed) {
        return false;
      }
    }
  }
  return true;
}

// Compares the checksum of each stride.
Status LogIndex::ReadChecked(uint64_t offset, std::span<std::byte> out) const {
  const uint64_t wanted_end = offset + out.size();
  const auto stride_end = [](const Stride& stride) { return stride.end.raw; };
  Bytes raw;
  for (auto stride = std::ranges::upper_bound(strides, offset, {}, stride_end);
       stride != strides.end() && stride->begin.raw < wanted_end; ++stride) {
    raw.resize(stride->end.raw - stride->begin.raw);
    IMASNAP_RETURN_IF_ERROR(ReadRaw(stride->begin.raw, raw));
    if (Checksum(raw) != stride->checksum) {
      const auto piece = std::ranges::upper_bound(pieces, stride->begin.raw, {}, &Piece::end);
      Error error = FileError(ErrorCode::kMismatch, Cause::kFileChanged, piece->file->path(),
                              "has changed since it was first read; verify the store");
      error.offset = stride->begin.raw - piece->begin + piece->at;
      return error;
    }
    const uint64_t from = std::max(offset, stride->begin.raw);
    const uint64_t to = std::min(wanted_end, stride->end.raw);
    std::ranges::copy(ByteView(raw).subspan(from - stride->begin.raw, to - from),
                      out.subspan(from - offset).begin());
  }
  return {};
}

Status LogIndex::ReadIndexed(uint64_t offset, std::span<std::byte> out) const {
  IMASNAP_RETURN_IF_ERROR(ReadRaw(offset, out));
  // Checked afterwards, so that it sees what was written in the meantime.
  IMASNAP_ASSIGN(const bool unchanged, Unchanged(offset, offset + out.size()));
  // Only the mode or name of the file may have changed.
  return unchanged ? Status() : ReadChecked(offset, out);
}

std::vector<ByteView> LogIndex::Mapped(const ViewFormat& format, uint64_t offset,
                                       size_t size) const {
  if (!IsStored(format) || offset >= end.raw) {
    return {};
  }
  const uint64_t to = std::min(offset + size, end.raw);
  std::vector<ByteView> views;
  auto piece = std::ranges::upper_bound(pieces, offset, {}, &Piece::end);
  for (uint64_t at = offset; at < to; at = piece->end, ++piece) {
    if (piece == pieces.end() || piece->mapped.empty() || views.size() == kMaxViews) {
      return {};
    }
    views.push_back(
        piece->mapped.subspan(at - piece->begin + piece->at, std::min(to, piece->end) - at));
  }
  const auto unchanged = Unchanged(offset, to);
  return unchanged.ok() && *unchanged ? views : std::vector<ByteView>();
}

Result<size_t> LogIndex::Read(const ViewFormat& format, uint64_t offset,
                              std::span<std::byte> out) const {
  if (format.ascii && undecoded) {
    return *undecoded;
  }
  const uint64_t size = end.BytesIn(format);
  if (offset >= size || out.empty()) {
    return size_t{0};
  }
  out = out.first(std::min<uint64_t>(out.size(), size - offset));
  if (IsStored(format)) {
    IMASNAP_RETURN_IF_ERROR(ReadIndexed(offset, out));
    return out.size();
  }
  const auto ends = [&](const Stride& stride) { return stride.end.BytesIn(format); };
  const auto first = std::ranges::upper_bound(strides, offset, {}, ends);
  const auto last = std::ranges::lower_bound(strides, offset + out.size(), {}, ends);
  const uint64_t begin = first->begin.raw;
  thread_local Bytes raw;
  raw.resize(last->end.raw - begin);
  IMASNAP_RETURN_IF_ERROR(ReadIndexed(begin, raw));
  IMASNAP_RETURN_IF_ERROR(
      Render(raw, kWholeLog, format, first->begin.BytesIn(format), offset, out));
  return out.size();
}

Result<size_t> IndexSource::Read(std::span<std::byte> out) {
  const size_t n = std::min<uint64_t>(out.size(), index_.end.raw - offset_);
  IMASNAP_RETURN_IF_ERROR(index_.ReadRaw(offset_, out.first(n)));
  offset_ += n;
  return n;
}

}  // namespace imasnap
