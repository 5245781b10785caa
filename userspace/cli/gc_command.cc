// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "verify/checkpoint.h"
#include "verify/discard.h"

namespace imasnap::cli {
namespace {

void Print(const Context& context, const GcResult& done) {
  if (context.options.json) {
    Json json;
    json["discarded"] = Json::array();
    for (const SegmentInfo& info : done.discarded) {
      json["discarded"].push_back(ToJson(info));
    }
    json["notes"] = ToJson(done.notes);
    context.host.out << Dump(json);
    return;
  }
  for (const Note& note : done.notes) {
    context.host.out << note.text << "\n";
  }
  for (const SegmentInfo& info : done.discarded) {
    context.host.out << fmt::format("discarded segment {}: {}, {}\n", SegmentName(info.number),
                                    RecordsText(info), SizeText(info.bytes));
  }
}

}  // namespace

Result<int> GcCommand(const Context& context, const GcArguments& arguments) {
  std::optional<Checkpoint> checkpoint;
  std::unique_ptr<File> state_lock;
  if (!arguments.state.empty()) {
    FileSystem& fs = context.env.fs;
    IMASNAP_ASSIGN(const std::string key, ReadStateKey(context, arguments.state_key));
    IMASNAP_ASSIGN(state_lock, LockState(fs, arguments.state, context.host.caller));
    IMASNAP_ASSIGN(checkpoint, LoadState(fs, arguments.state, key, context.host.caller));
    if (!checkpoint) {
      return FileError(ErrorCode::kCannotCheck, Cause::kStateMissing, arguments.state,
                       "does not exist; verify --state writes it");
    }
  }
  GcResult done;
  const Status status = CollectGarbage(context.env, checkpoint, arguments.state, &done);
  if (status.ok() || !done.discarded.empty() || !done.notes.empty()) {
    Print(context, done);
  }
  if (!status.ok()) {
    return status.error();
  }
  return kExitOk;
}

}  // namespace imasnap::cli
