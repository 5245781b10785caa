// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef IMASNAP_SNAPSHOT_SNAPSHOT_SOURCE_H_
#define IMASNAP_SNAPSHOT_SNAPSHOT_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "kernel/kernel_files.h"
#include "log/aggregate.h"
#include "snapshot/source.h"

namespace imasnap {

// For reading and writing, as the kernel requires. EBUSY gives kFailed with an
// explanation. It is not tried again, because the other program may take long.
Result<std::unique_ptr<File>> OpenSnapshotFile(const KernelFiles& kernel);

// The kernel's snapshot file. Opening it records an aggregate, which counts and hashes
// what is then read; writing to it purges.
class SnapshotSource : public Source {
 public:
  explicit SnapshotSource(KernelFiles kernel) : kernel_(std::move(kernel)) {}

  Result<bool> Open() override;
  File& records() override { return *file_; }
  Status Complete(SegmentInfo* segment) override;
  Status Purge(const SegmentInfo& segment, Notes* notes) override;
  Status Close() override { return file_->Close(); }

 private:
  Result<Aggregate> FindAggregate(const SegmentInfo& segment) const;

  const KernelFiles kernel_;
  std::unique_ptr<File> file_;
};

}  // namespace imasnap

#endif  // IMASNAP_SNAPSHOT_SNAPSHOT_SOURCE_H_
