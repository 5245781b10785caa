// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/log_parts.h"

#include <span>
#include <utility>

#include "base/read_only_file.h"
#include "kernel/growing_copy.h"
#include "store/boot_log.h"
#include "store/environment.h"

namespace imasnap {
namespace {

LogPart StagedPart(const BootLog& boot_log) {
  LogPart part;
  part.path = boot_log.staged_path;
  part.open = [file = boot_log.staged]() -> Result<std::unique_ptr<File>> {
    return std::unique_ptr<File>(std::make_unique<SharedFile>(file));
  };
  return part;
}

LogPart LivePart(const Environment& env, const BootLog& boot_log) {
  LogPart part;
  part.path = boot_log.live_path;
  if (!boot_log.has_staging) {
    part.open = [&fs = env.fs, path = boot_log.live_path] {
      return fs.OpenFile(path, OpenMode::kRead);
    };
    return part;
  }
  part.open = [kernel = env.kernel()]() -> Result<std::unique_ptr<File>> {
    return std::unique_ptr<File>(std::make_unique<GrowingCopy>(kernel));
  };
  return part;
}

}  // namespace

std::vector<LogPart> PartsOf(const Environment& env, const BootLog& boot_log) {
  std::vector<LogPart> parts;
  FileSystem& fs = env.fs;
  uint64_t expected = 1;
  for (const Segment& segment : boot_log.segments) {
    LogPart part;
    part.path = segment.path;
    part.segment = segment.number;
    part.info = segment.info;
    part.info_problem = segment.info_error;
    part.missing = !segment.has_data;
    part.discarded = segment.info && segment.info->state == SegmentState::kDiscarded;
    const bool explained = segment.info && segment.info->supersedes;
    if (segment.number != expected && !explained) {
      part.missing_before = expected;
    }
    part.open = [&fs, path = segment.path] { return fs.OpenFile(path, OpenMode::kRead); };
    parts.push_back(std::move(part));
    expected = segment.number + 1;
  }
  if (boot_log.staged) {
    parts.push_back(StagedPart(boot_log));
  }
  parts.push_back(LivePart(env, boot_log));
  return parts;
}

std::vector<DigestPipeline::Input> InputsOf(const std::vector<LogPart>& parts, size_t first) {
  std::vector<DigestPipeline::Input> inputs;
  for (const LogPart& part : std::span(parts).subspan(first)) {
    const auto open = [&part]() -> Result<std::unique_ptr<ByteSource>> {
      IMASNAP_ASSIGN(std::unique_ptr<File> file, part.open());
      return std::unique_ptr<ByteSource>(std::move(file));
    };
    inputs.push_back({part.path, open, part.info ? part.info->records : 0});
  }
  return inputs;
}

Error ErrorOfPart(const LogPart& part, Error error) {
  if (part.segment == 0 && error.cause == Cause::kNotAList) {
    error.code = ErrorCode::kCannotCheck;
  }
  return error;
}

}  // namespace imasnap
