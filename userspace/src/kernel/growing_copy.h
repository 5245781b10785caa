// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef IMASNAP_KERNEL_GROWING_COPY_H_
#define IMASNAP_KERNEL_GROWING_COPY_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "base/read_only_file.h"
#include "base/result.h"
#include "kernel/kernel_files.h"

namespace imasnap {

// A copy of the kernel's list, because the list blocks staging while it is open. A read
// after the end continues with what was measured since.
class GrowingCopy : public ReadOnlyFile {
 public:
  explicit GrowingCopy(KernelFiles kernel)
      : ReadOnlyFile(kernel.live_path()), kernel_(std::move(kernel)) {}

  Result<size_t> ReadSome(std::span<std::byte> out) override;
  Result<size_t> ReadSomeAt(uint64_t offset, std::span<std::byte> out) override;
  Result<uint64_t> Seek(uint64_t offset) override;
  Result<FileInfo> Stat() override;

 private:
  Status CopyRest();

  const KernelFiles kernel_;
  std::unique_ptr<File> copy_;
  uint64_t copied_ = 0;  // bytes that were read
};

}  // namespace imasnap

#endif  // IMASNAP_KERNEL_GROWING_COPY_H_
