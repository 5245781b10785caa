// SPDX-License-Identifier: GPL-2.0-or-later
//
// The part of the log that the kernel has at one moment: the staged records, if it has
// staging, then its list.
#ifndef IMASNAP_KERNEL_KERNEL_LISTS_H_
#define IMASNAP_KERNEL_KERNEL_LISTS_H_

#include <memory>
#include <utility>

#include "base/result.h"
#include "kernel/kernel_files.h"

namespace imasnap {

class KernelLists {
 public:
  // Opens both before either is read, so that nothing is staged in between.
  static Result<KernelLists> Open(const KernelFiles& kernel);

  bool has_staging() const { return staged_ != nullptr; }
  // Copies both to files without names and closes the kernel's files, because nothing
  // can be staged while one of those is open.
  Status Spool();
  // Closes both; Rewind() opens them again.
  void Close();
  // Goes to the beginning of both.
  Status Rewind();
  // Null if the kernel has no staging.
  File* staged() const { return staged_.get(); }
  File& live() const { return *live_; }
  const KernelFiles& kernel() const { return kernel_; }

  // At its beginning; null if nothing is staged. Only after Spool().
  Result<std::unique_ptr<File>> TakeStaged();
  // At its beginning.
  Result<std::unique_ptr<File>> TakeLive();

 private:
  explicit KernelLists(KernelFiles kernel) : kernel_(std::move(kernel)) {}
  Status Reopen();

  KernelFiles kernel_;
  std::unique_ptr<File> staged_;
  std::unique_ptr<File> live_;
  bool spooled_ = false;
  bool read_ = false;
};

}  // namespace imasnap

#endif  // IMASNAP_KERNEL_KERNEL_LISTS_H_
