// SPDX-License-Identifier: GPL-2.0-or-later
//
// The parts of the stitched log: segments, what was staged, the kernel's list.
#ifndef IMASNAP_STORE_LOG_PARTS_H_
#define IMASNAP_STORE_LOG_PARTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "log/digest_pipeline.h"
#include "store/metadata.h"

namespace imasnap {

struct Environment;
struct LogView;

// One file of the log, in order. `open` gives it from its beginning, each time.
struct LogPart {
  std::string path;
  uint64_t segment = 0;  // its number; 0 for what the kernel holds (staged, live)
  std::function<Result<std::unique_ptr<File>>()> open;
  std::optional<SegmentInfo> info;    // what the store says about it
  std::optional<Error> info_problem;  // the store's metadata is broken
  // A segment that must come before this part and is not there.
  std::optional<uint64_t> missing_before;
  bool missing = false;  // its own bytes are not there
  // They are not because they were removed after they were verified; info says
  // which records they were.
  bool discarded = false;
};

// The segments of `view`, what was staged (with number 0), and the kernel's list
// as parts of one log. Segments that should be there and are not become parts
// that are missing.
std::vector<LogPart> PartsOf(const Environment& env, const LogView& view);

// The files of `parts`, which must outlive what is returned, from the index `first` on.
std::vector<DigestPipeline::Input> InputsOf(const std::vector<LogPart>& parts, size_t first);

}  // namespace imasnap

#endif  // IMASNAP_STORE_LOG_PARTS_H_
