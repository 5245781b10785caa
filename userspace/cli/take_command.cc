// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "snapshot/snapshot.h"

namespace imasnap::cli {
namespace {

std::string HowTaken(const SegmentInfo& segment) {
  return segment.attempt == kNoAttempt ? std::string("by staging")
                                       : fmt::format("attempt {}", segment.attempt);
}

}  // namespace

std::string TakenText(const TakeResult& taken, bool only_mark) {
  if (taken.segment) {
    const SegmentInfo& segment = *taken.segment;
    return fmt::format("segment {}: {}, {}, {}, purged from the kernel",
                       SegmentName(segment.number), HowTaken(segment), RecordsText(segment),
                       SizeText(segment.bytes));
  }
  return only_mark ? fmt::format("attempt {}: aggregate recorded, nothing purged", taken.attempt)
                   : "there was no record to take";
}

Result<int> TakeCommand(const Context& context, const TakeArguments& arguments) {
  const bool only_mark = arguments.mark || context.env.config.mode == SnapshotMode::kMark;
  Notes notes;
  auto result = TakeSnapshot(context.env, only_mark, &notes);
  for (const Note& note : notes) {
    context.Diagnose("note: " + note.text);
  }
  if (!result.ok()) {
    return std::move(result.error());
  }
  if (context.options.json) {
    Json json;
    json["attempt"] = result->attempt == kNoAttempt ? Json(nullptr) : Json(result->attempt);
    json["marked_only"] = only_mark;
    json["session"] = only_mark ? Json(nullptr) : Json(result->session);
    json["segment"] = result->segment ? ToJson(*result->segment) : Json(nullptr);
    json["notes"] = ToJson(notes);
    context.host.out << Dump(json);
  } else {
    context.host.out << TakenText(*result, only_mark) << "\n";
  }
  context.host.out.flush();
  if (!context.host.out) {
    return FileError(
        ErrorCode::kFailed, Cause::kNotWritten, "standard output",
        "could not be written; what was done anyway: " + TakenText(*result, only_mark));
  }
  return kExitOk;
}

}  // namespace imasnap::cli
