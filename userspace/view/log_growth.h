// SPDX-License-Identifier: GPL-2.0-or-later
//
// Takes what came since into a copy of a LogState. What was shown before is
// compared, never taken again: it must not have changed.
#ifndef IMASNAP_VIEW_LOG_GROWTH_H_
#define IMASNAP_VIEW_LOG_GROWTH_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/continuity.h"
#include "store/environment.h"
#include "store/log_parts.h"
#include "view/log_state.h"

namespace imasnap {

// First the new segments, in order, then the kernel's list, then Finish(). An
// error leaves the state that was copied as it was. kMismatch: the segment or
// list is not what goes on from it.
class Growth {
 public:
  Growth(FileSystem& fs, const Progress& progress, LogState known);

  Status AddSegment(const LogPart& part);
  // The lists that the kernel still has, in the order of their records.
  Status AddKernel(const std::vector<LogPart>& parts);
  Result<LogState> Finish();

 private:
  Status CompareKnown(ByteSource& from, const std::string& name, uint64_t begin, uint64_t end);
  Status CheckChain(const std::string& name, uint64_t at) const;
  Status CheckHead();
  // Indexes what `from` still holds, `skipped` bytes after its beginning; keeps
  // a copy of the bytes where `keep`.
  Status TakeRecords(ByteSource& from, const std::string& name, uint64_t skipped, bool keep);
  Status Index(const Record& record);
  Status CloseStride();
  Status BeginSpool();
  Status WriteSpool();

  FileSystem& fs_;
  const Progress& progress_;
  LogState next_;
  AsciiMeter meter_;
  Bytes open_;  // the bytes of the last stride, which is not full
  Bytes unwritten_;
  std::shared_ptr<File> spool_;
  std::optional<SegmentKey> before_;  // the segment that ends at kernel_begin, if it was added now
  bool moved_ = false;                // kernel_begin
};

}  // namespace imasnap

#endif  // IMASNAP_VIEW_LOG_GROWTH_H_
