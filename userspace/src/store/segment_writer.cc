// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/segment_writer.h"

#include <algorithm>

namespace imasnap {
namespace {

constexpr size_t kPiece = size_t{256} * 1024;

}  // namespace

Status SegmentWriter::Append(ByteView bytes) {
  hasher_.Update(bytes);
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const size_t n = std::min(bytes.size(), kPiece - piece_.size());
    AppendBytes(bytes.first(n), &piece_);
    bytes = bytes.subspan(n);
    if (piece_.size() == kPiece) {
      IMASNAP_RETURN_IF_ERROR(file_->WriteAll(piece_));
      piece_.clear();
    }
  }
  return {};
}

Result<Digest> SegmentWriter::Finish() {
  IMASNAP_RETURN_IF_ERROR(file_->WriteAll(piece_));
  piece_.clear();
  return hasher_.Finish();
}

}  // namespace imasnap
