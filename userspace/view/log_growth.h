// SPDX-License-Identifier: GPL-2.0-or-later
//
// Takes what came since into a copy of a LogIndex. What was shown before is only
// compared: it must not have changed.
#ifndef IMASNAP_VIEW_LOG_GROWTH_H_
#define IMASNAP_VIEW_LOG_GROWTH_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/continuity.h"
#include "store/environment.h"
#include "store/log_parts.h"
#include "view/log_index.h"

namespace imasnap {

// First the new segments, in order, then the kernel's list, then Finish(). After an
// error the original is unchanged. kMismatch: the segment or list does not continue it.
class Growth {
 public:
  Growth(FileSystem& fs, const Progress& progress, LogIndex known);

  Status AddSegment(const LogPart& part);
  // The lists of the kernel, in the order of their records.
  Status AddKernel(const std::vector<LogPart>& parts);
  Result<LogIndex> Finish();

 private:
  Status CompareKnown(ByteSource& from, const std::string& name, uint64_t begin, uint64_t end);
  Status CheckChain(const std::string& name, uint64_t at) const;
  Status CheckHead();
  // Indexes the rest of `from`, which begins `skipped` bytes after its start; keeps a
  // copy of the bytes if `keep`.
  Status TakeRecords(ByteSource& from, const std::string& name, uint64_t skipped, bool keep);
  Status Index(const Record& record);
  Status CloseStride();
  Status BeginSpool();
  Status WriteSpool();

  FileSystem& fs_;
  const Progress& progress_;
  LogIndex next_;
  AsciiMeter meter_;
  Bytes open_;  // the bytes of the last stride, which is not full
  Bytes unwritten_;
  std::shared_ptr<File> spool_;
  std::optional<SegmentKey> before_;  // the segment that ends at kernel_begin, if it was added now
  bool moved_ = false;                // kernel_begin
};

}  // namespace imasnap

#endif  // IMASNAP_VIEW_LOG_GROWTH_H_
