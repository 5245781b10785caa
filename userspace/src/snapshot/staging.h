// SPDX-License-Identifier: GPL-2.0-or-later
//
// Staging, which Linux has since 7.2 (CONFIG_IMA_STAGING;
// Documentation/security/IMA-export-delete.rst): "A" moves the whole list to
// the *_staged files, "D" deletes what is there.
#ifndef IMASNAP_SNAPSHOT_STAGING_H_
#define IMASNAP_SNAPSHOT_STAGING_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/kernel_files.h"
#include "snapshot/source.h"
#include "store/continuity.h"

namespace imasnap {

// Keeps the staged file open for writing from "A" to "D". Until it is closed, no other
// program can read, stage or delete, so "D" deletes exactly what was read.
class StagingSource : public Source {
 public:
  enum class What {
    kNew,   // stage the list; if another program has just done that, take its records
    kLeft,  // only records that are already staged
  };
  // `before`: the number of records since cold boot before those taken.
  StagingSource(KernelFiles kernel, What what, uint64_t before)
      : kernel_(std::move(kernel)), what_(what), before_(before) {}

  Result<bool> Open() override;
  File& records() override { return *file_; }
  // There is no aggregate to compare with: only PCRs prove the bytes.
  Status Complete(SegmentInfo* segment) override;
  Status Purge(const SegmentInfo& segment, Notes* notes) override;
  Status Close() override { return file_->Close(); }

 private:
  const KernelFiles kernel_;
  const What what_;
  const uint64_t before_;
  std::unique_ptr<File> file_;
};

// Deletes the staged records if they are exactly the segment of `key`. Otherwise
// returns false and changes nothing.
Result<bool> PurgeStagedSegment(const KernelFiles& kernel, const SegmentKey& key, Notes* notes);

struct ListSize {
  uint64_t records = 0;
  uint64_t bytes = 0;
};
// The size of the staged records; nothing if the kernel has no staging.
Result<std::optional<ListSize>> StagedSize(const KernelFiles& kernel);

}  // namespace imasnap

#endif  // IMASNAP_SNAPSHOT_STAGING_H_
