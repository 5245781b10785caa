// SPDX-License-Identifier: GPL-2.0-or-later
#include "log_state.h"

#include <algorithm>

namespace imasnap {
namespace {

// Where a name is needed for bytes of more than one file.
constexpr const char* kWholeLog = "the whole log";

// The stride's bytes, if they are still those that were indexed.
Status Load(const LogState& state, const Stride& stride, std::span<std::byte> out) {
  IMASNAP_RETURN_IF_ERROR(state.ReadRaw(stride.begin.raw, out));
  IMASNAP_ASSIGN(const uint64_t checksum, Checksum(out));
  if (checksum != stride.checksum) {
    const auto piece = std::ranges::find_if(
        state.pieces, [&](const Piece& p) { return p.end > stride.begin.raw; });
    Error error = FileError(ErrorCode::kMismatch, piece->file->path(),
                            "has changed since it was first read; verify the store");
    error.offset = stride.begin.raw - piece->begin + piece->at;
    return error;
  }
  return {};
}

}  // namespace

Result<uint64_t> Checksum(ByteView bytes) {
  thread_local Result<Hasher> hasher = Hasher::Create(HashAlg::kSha256);
  if (!hasher.ok()) {
    return hasher.error();
  }
  hasher->Update(bytes);
  IMASNAP_ASSIGN(const Digest digest, hasher->Finish());
  return LoadUint(digest.view().first(sizeof(uint64_t)), ByteOrder::kLittle);
}

Status LogState::ReadRaw(uint64_t offset, std::span<std::byte> out) const {
  auto piece = std::ranges::upper_bound(pieces, offset, {}, &Piece::end);
  while (!out.empty()) {
    if (piece == pieces.end()) {
      return FileError(ErrorCode::kFailed, kWholeLog, "ends early");
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

Result<size_t> LogState::Read(const ViewFormat& format, uint64_t offset,
                              std::span<std::byte> out) const {
  const uint64_t size = end.BytesIn(format);
  if (offset >= size || out.empty()) {
    return size_t{0};
  }
  out = out.first(std::min<uint64_t>(out.size(), size - offset));
  const auto ends = [&](const Stride& stride) { return stride.end.BytesIn(format); };
  const auto first = std::ranges::upper_bound(strides, offset, {}, ends);
  const auto last = std::ranges::lower_bound(strides, offset + out.size(), {}, ends);
  const uint64_t begin = first->begin.raw;
  Bytes raw(last->end.raw - begin);
  for (auto stride = first; stride <= last; ++stride) {
    IMASNAP_RETURN_IF_ERROR(Load(
        *this, *stride,
        std::span(raw).subspan(stride->begin.raw - begin, stride->end.raw - stride->begin.raw)));
  }
  if (!format.ascii && format.alg == HashAlg::kSha1) {
    std::ranges::copy(ByteView(raw).subspan(offset - begin, out.size()), out.begin());
  } else {
    IMASNAP_RETURN_IF_ERROR(
        Render(raw, kWholeLog, format, first->begin.BytesIn(format), offset, out));
  }
  return out.size();
}

Result<size_t> StateSource::Read(std::span<std::byte> out) {
  const size_t n = std::min<uint64_t>(out.size(), state_.end.raw - offset_);
  IMASNAP_RETURN_IF_ERROR(state_.ReadRaw(offset_, out.first(n)));
  offset_ += n;
  return n;
}

}  // namespace imasnap
