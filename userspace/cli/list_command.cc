// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "commands.h"
#include "json.h"
#include "record_format.h"
#include "session.h"
#include "stitch.h"

namespace imasnap::cli {
namespace {

const char* StateText(SegmentState state) {
  return state == SegmentState::kStored ? "stored, not purged" : StateName(state);
}

// "1", "00000001" to 1.
std::optional<uint64_t> SegmentNumber(std::string_view text) {
  while (text.size() > 1 && text[0] == '0') {
    text.remove_prefix(1);
  }
  return ParseDecimal(text);
}

Result<uint64_t> CountRecords(const LogPart& part) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, part.open());
  LogReader reader(*file, {}, part.path, LogReader::Check::kFraming);
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      return reader.records();
    }
  }
}

}  // namespace

Result<int> ListCommand(const Context& context) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> lock, AcquireLock(context.env, LockMode::kShared));
  IMASNAP_ASSIGN(const std::optional<Session> session, context.env.store().LoadNewest());
  std::ostream& out = context.host.out;
  if (context.options.json) {
    Json json;
    json["store"] = context.env.config.store;
    json["session"] = session ? Json(session->id) : Json(nullptr);
    json["segments"] = Json::array();
    json["rejected"] = Json::array();
    if (session) {
      for (const Segment& segment : session->segments) {
        json["segments"].push_back(ToJson(segment));
      }
      json["rejected"] = session->rejected;
    }
    out << Dump(json);
    return kExitOk;
  }
  if (!session) {
    return kExitOk;
  }
  out << fmt::format("{:<9} {:>7} {:>17} {:>9} {:>11}  {:<20} {}\n", "SEGMENT", "ATTEMPT",
                     "RECORDS", "COUNT", "BYTES", "TAKEN", "STATE");
  for (const Segment& segment : session->segments) {
    if (segment.info) {
      const SegmentInfo& info = *segment.info;
      out << fmt::format(
          "{:<9} {:>7} {:>17} {:>9} {:>11}  {:<20} {}{}\n", SegmentName(segment.number),
          info.attempt == kNoAttempt ? "-" : std::to_string(info.attempt), RecordRange(info),
          info.records, info.bytes, info.taken, StateText(info.state),
          segment.has_data || info.state == SegmentState::kDiscarded ? "" : ", MISSING");
    } else {
      out << fmt::format("{:<9} metadata {}\n", SegmentName(segment.number),
                         segment.info_error ? segment.info_error->message : "not written");
    }
  }
  for (const std::string& path : session->rejected) {
    context.Diagnose(fmt::format("{}: did not match its hash and was kept aside", path));
  }
  return kExitOk;
}

Result<int> ShowCommand(const Context& context, const ShowArguments& arguments) {
  const std::string& segment = arguments.segment;
  IMASNAP_ASSIGN(LogView view, OpenLogView(context.env));
  std::unique_ptr<File> file;
  std::string path;
  uint64_t before = 0;  // records before the file
  if (segment == "live" || segment == "staged") {
    if (!view.segments.empty() && view.segments.back().info) {
      before = view.segments.back().info->last_record;
    }
    const std::vector<LogPart> parts = PartsOf(context.env, view);
    const LogPart* staged = view.staged ? &parts[parts.size() - 2] : nullptr;
    if (segment == "staged" && staged == nullptr) {
      return MakeError(ErrorCode::kUsage, "nothing is staged");
    }
    const LogPart& part = segment == "staged" ? *staged : parts.back();
    path = part.path;
    if (segment == "live" && staged != nullptr) {
      IMASNAP_ASSIGN(const uint64_t records, CountRecords(*staged));
      before += records;
    }
    IMASNAP_ASSIGN(const std::unique_ptr<File> kernel, part.open());
    IMASNAP_ASSIGN(file, Spool(context.env.fs, *kernel));
  } else {
    const auto number = SegmentNumber(segment);
    IMASNAP_ASSIGN(const std::optional<Session> session, context.env.store().LoadNewest());
    const Segment* found = nullptr;
    if (number && session) {
      for (const Segment& candidate : session->segments) {
        found = candidate.number == *number ? &candidate : found;
      }
    }
    if (found == nullptr) {
      return MakeError(
          ErrorCode::kUsage,
          fmt::format("there is no segment {}; 'ima-snapshot list' shows them", segment));
    }
    path = found->path;
    if (found->info && found->info->state == SegmentState::kDiscarded) {
      return FileError(ErrorCode::kCannotCheck, path,
                       "the segment was discarded after it was verified, as discard = "
                       "\"verified\" in ima-snapshot.conf(5) allows");
    }
    before = found->info ? found->info->first_record - 1 : 0;
    IMASNAP_ASSIGN(file, context.env.fs.OpenFile(path, OpenMode::kRead));
  }
  view.lock.reset();
  LogReader reader(*file, {}, path);
  std::string line;
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      break;
    }
    if (context.options.json) {
      // One object a line, so that a long segment needs no memory.
      context.host.out << Dump(ToJson(*record, before + record->number));
      continue;
    }
    line = fmt::format("{:>8} ", before + record->number);
    if (IsAggregate(*record)) {
      const auto buffer = FindField(*record->tmpl, record->fields, "buf");
      line += fmt::format("{:2} {} ima-buf {} {}\n", record->pcr, ToHex(record->digest),
                          kAggregateEvent, AsText(buffer.value_or(ByteView())));
    } else {
      AppendAscii(*record, record->digest, &line);
    }
    context.host.out << line;
  }
  return kExitOk;
}

}  // namespace imasnap::cli
