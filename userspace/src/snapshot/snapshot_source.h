// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef IMASNAP_SNAPSHOT_SNAPSHOT_SOURCE_H_
#define IMASNAP_SNAPSHOT_SNAPSHOT_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "kernel/kernel_log.h"
#include "log/aggregate.h"
#include "snapshot/source.h"

namespace imasnap {

// For reading and writing, which the kernel asks for even if it is only closed again. kFailed
// with what EBUSY means, which is not tried again: another program may be at work for long.
Result<std::unique_ptr<File>> OpenSnapshotFile(const KernelLog& kernel);

// The kernel's snapshot file: opening it records an aggregate, which says what
// is to be read, and writing purges.
class SnapshotSource : public Source {
 public:
  explicit SnapshotSource(KernelLog kernel) : kernel_(std::move(kernel)) {}

  Result<bool> Open() override;
  File& records() override { return *file_; }
  Status Complete(SegmentInfo* segment) override;
  Status Purge(const SegmentInfo& segment, std::vector<std::string>* notes) override;
  Status Close() override { return file_->Close(); }

 private:
  Result<Aggregate> FindAggregate(const SegmentInfo& segment) const;

  const KernelLog kernel_;
  std::unique_ptr<File> file_;
};

}  // namespace imasnap

#endif  // IMASNAP_SNAPSHOT_SNAPSHOT_SOURCE_H_
