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

namespace {

Json TakenJson(const TakeResult& taken, bool only_mark, const Notes& notes) {
  Json json;
  json["attempt"] = taken.attempt == kNoAttempt ? Json(nullptr) : Json(taken.attempt);
  json["marked_only"] = only_mark;
  json["session"] = taken.session == 0 ? Json(nullptr) : Json(taken.session);
  json["segment"] = taken.segment ? ToJson(*taken.segment) : Json(nullptr);
  json["notes"] = ToJson(notes);
  json["events"] = EventsJson(notes);
  return json;
}

// No final snapshot is wanted.
int ReportNone(const Context& context) {
  context.host.out << (context.options.json
                           ? Dump(TakenJson(TakeResult(), /*only_mark=*/false, {}))
                           : "the configuration wants no final snapshot; nothing was done\n");
  return kExitOk;
}

// What `take` or `take --final` does.
Result<TakeResult> Take(const Context& context, bool final, bool only_mark, Notes* notes) {
  return final ? TakeFinalSnapshot(context.env, notes)
               : TakeSnapshot(context.env, only_mark, notes);
}

}  // namespace

Result<int> TakeCommand(const Context& context, const TakeArguments& arguments) {
  const Config& config = context.env.config;
  const bool only_mark = arguments.mark || config.mode == SnapshotMode::kMark;
  if (arguments.final && (only_mark || !config.final_snapshot)) {
    return ReportNone(context);
  }
  Notes notes;
  auto result = Take(context, arguments.final, only_mark, &notes);
  for (const Note& note : notes) {
    context.Diagnose("note: " + note.text);
  }
  if (!result.ok()) {
    return std::move(result.error());
  }
  if (context.options.json) {
    context.host.out << Dump(TakenJson(*result, only_mark, notes));
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
