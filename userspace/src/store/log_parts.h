// SPDX-License-Identifier: GPL-2.0-or-later
//
// The parts of the log: segments, the staged records, and the kernel's list.
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
struct BootLog;

// A part of the log. Each call of `open` opens it at its beginning.
struct LogPart {
  std::string path;
  uint64_t segment = 0;  // its number; 0 for staged records and the list
  std::function<Result<std::unique_ptr<File>>()> open;
  std::optional<SegmentInfo> info;    // what the store says about it
  std::optional<Error> info_problem;  // the store's metadata is broken
  // The segment that must come before this part, if it is missing.
  std::optional<uint64_t> missing_before;
  bool missing = false;  // its own bytes are missing
  // They are missing because they were removed after they were verified; `info` says
  // which records they were.
  bool discarded = false;
};

// The segments of `boot_log`, the staged records (with number 0), and the kernel's list as
// parts of one log. For a segment that should be there and is not, there is a missing
// part.
std::vector<LogPart> PartsOf(const Environment& env, const BootLog& boot_log);

// The files of `parts` from the index `first` on. `parts` must outlive the result.
std::vector<DigestPipeline::Input> InputsOf(const std::vector<LogPart>& parts, size_t first);

// `error` of a reader of this part. If a list that was given does not look like one, it
// cannot be checked. A segment was one when it was stored, so it is malformed.
Error ErrorOfPart(const LogPart& part, Error error);

}  // namespace imasnap

#endif  // IMASNAP_STORE_LOG_PARTS_H_
