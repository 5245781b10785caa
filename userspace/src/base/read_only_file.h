// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef IMASNAP_BASE_READ_ONLY_FILE_H_
#define IMASNAP_BASE_READ_ONLY_FILE_H_

#include <cstdint>
#include <memory>

#include "base/file_system.h"
#include "base/result.h"

namespace imasnap {

class ReadOnlyFile : public File {
 public:
  using File::File;
  Result<size_t> WriteSome(ByteView) override { return SystemError(path(), "write", EBADF); }
  Status Sync() override { return SystemError(path(), "fsync", EBADF); }
  Status TryLock(LockMode) override { return SystemError(path(), "flock", EBADF); }
  Status Close() override { return {}; }
};

// Has its own position in a file that others read too.
class SharedFile : public ReadOnlyFile {
 public:
  explicit SharedFile(std::shared_ptr<File> file)
      : ReadOnlyFile(file->path()), file_(std::move(file)) {}

  Result<size_t> ReadSome(std::span<std::byte> out) override {
    IMASNAP_ASSIGN(const size_t got, file_->ReadSomeAt(at_, out));
    at_ += got;
    return got;
  }
  Result<size_t> ReadSomeAt(uint64_t offset, std::span<std::byte> out) override {
    return file_->ReadSomeAt(offset, out);
  }
  Result<uint64_t> Seek(uint64_t offset) override { return at_ = offset; }
  Result<FileInfo> Stat() override { return file_->Stat(); }

 private:
  std::shared_ptr<File> file_;
  uint64_t at_ = 0;
};

}  // namespace imasnap

#endif  // IMASNAP_BASE_READ_ONLY_FILE_H_
