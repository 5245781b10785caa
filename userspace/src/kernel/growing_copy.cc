// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/growing_copy.h"

#include <algorithm>
#include <array>
#include <cerrno>

namespace imasnap {

Result<size_t> GrowingCopy::ReadSome(std::span<std::byte> out) {
  if (!copy_) {
    IMASNAP_RETURN_IF_ERROR(CopyRest());
  }
  IMASNAP_ASSIGN(const size_t got, copy_->ReadSome(out));
  copied_ += got;
  if (got == 0) {
    copy_.reset();
  }
  return got;
}

Result<size_t> GrowingCopy::ReadSomeAt(uint64_t, std::span<std::byte>) {
  return SystemError(path(), "pread", ESPIPE);
}

Result<uint64_t> GrowingCopy::Seek(uint64_t) { return SystemError(path(), "lseek", ESPIPE); }

Result<FileInfo> GrowingCopy::Stat() { return SystemError(path(), "fstat", EBADF); }

Status GrowingCopy::CopyRest() {
  IMASNAP_ASSIGN(const std::unique_ptr<File> live, kernel_.OpenLive());
  std::array<std::byte, size_t{16} * 1024> skipped;
  for (uint64_t at = 0; at < copied_;) {
    const auto wanted = std::min<uint64_t>(skipped.size(), copied_ - at);
    IMASNAP_ASSIGN(const size_t got, live->Read(std::span(skipped).first(wanted)));
    if (got == 0) {
      return FileError(ErrorCode::kCannotCheck, Cause::kListShrank, path(),
                       "became shorter while it was read: another program removed records");
    }
    at += got;
  }
  IMASNAP_ASSIGN(copy_, Spool(kernel_.fs(), *live));
  return {};
}

}  // namespace imasnap
