// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "log/record_format.h"
#include "store/boot_log.h"
#include "store/log_parts.h"

namespace imasnap::cli {
namespace {

const char* StateText(SegmentState state) {
  return state == SegmentState::kStored ? "stored, not purged" : StateName(state);
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

// Escapes a text of any length, unlike Printable(). The owner of a file chooses its
// name, and root's terminal shows it.
std::string Escaped(std::string_view text) {
  constexpr size_t kPiece = 64;
  std::string out;
  for (size_t at = 0; at < text.size(); at += kPiece) {
    out += Printable(text.substr(at, kPiece));
  }
  return out;
}

// What is shown.
struct Shown {
  std::unique_ptr<File> file;
  std::string path;
  uint64_t before = 0;  // records before the file
};

Result<Shown> OpenSegment(const Environment& env, const std::string& name) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> lock, AcquireLock(env, LockMode::kShared));
  IMASNAP_ASSIGN(const std::optional<Session> session, env.store().LoadNewest());
  const auto number = ParsePaddedDecimal(name);
  const Segment* found = nullptr;
  if (number && session) {
    for (const Segment& candidate : session->segments) {
      found = candidate.number == *number ? &candidate : found;
    }
  }
  if (found == nullptr) {
    return MakeError(ErrorCode::kUsage, Cause::kSegmentUnknown,
                     fmt::format("there is no segment {}; 'ima-snapshot list' shows them", name));
  }
  if (found->info && found->info->state == SegmentState::kDiscarded) {
    Error error = FileError(ErrorCode::kCannotCheck, Cause::kSegmentDiscarded, found->path,
                            "the segment was discarded after it was verified, as discard = "
                            "\"verified\" in ima-snapshot.conf(5) allows");
    error.segment = found->number;
    return error;
  }
  Shown shown{.file = nullptr,
              .path = found->path,
              .before = found->info ? found->info->first_record - 1 : 0};
  IMASNAP_ASSIGN(shown.file, env.fs.OpenFile(shown.path, OpenMode::kRead));
  return shown;
}

// A copy, so that a slow reader does not block snapshots.
Result<Shown> OpenKernelList(const Environment& env, bool staged) {
  IMASNAP_ASSIGN(const BootLog boot_log, OpenBootLog(env));
  const std::vector<LogPart> parts = PartsOf(env, boot_log);
  const LogPart* const before = boot_log.staged ? &parts[parts.size() - 2] : nullptr;
  if (staged && before == nullptr) {
    return MakeError(ErrorCode::kUsage, Cause::kEmpty, "nothing is staged");
  }
  const LogPart& part = staged ? *before : parts.back();
  Shown shown{.file = nullptr, .path = part.path};
  if (!boot_log.segments.empty() && boot_log.segments.back().info) {
    shown.before = boot_log.segments.back().info->last_record;
  }
  if (!staged && before != nullptr) {
    IMASNAP_ASSIGN(const uint64_t records, CountRecords(*before));
    shown.before += records;
  }
  IMASNAP_ASSIGN(const std::unique_ptr<File> kernel, part.open());
  IMASNAP_ASSIGN(shown.file, Spool(env.fs, *kernel));
  return shown;
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
                     "RECORDS", "COUNT", "SIZE", "TAKEN", "STATE");
  for (const Segment& segment : session->segments) {
    if (segment.info) {
      const SegmentInfo& info = *segment.info;
      out << fmt::format(
          "{:<9} {:>7} {:>17} {:>9} {:>11}  {:<20} {}{}\n", SegmentName(segment.number),
          info.attempt == kNoAttempt ? "-" : std::to_string(info.attempt), RecordRange(info),
          info.records, SizeText(info.bytes), info.taken, StateText(info.state),
          segment.has_data || info.state == SegmentState::kDiscarded ? "" : ", MISSING");
    } else {
      out << fmt::format("{:<9} metadata {}\n", SegmentName(segment.number),
                         segment.info_error ? segment.info_error->message : "not written");
    }
  }
  for (const std::string& path : session->rejected) {
    context.Diagnose(fmt::format("{}: did not match its hash and was kept as rejected", path));
  }
  return kExitOk;
}

Result<int> ShowCommand(const Context& context, const ShowArguments& arguments) {
  const auto kernel_list = [&] {
    return OpenKernelList(context.env, arguments.segment == "staged");
  };
  IMASNAP_ASSIGN(Shown shown, arguments.OfSegment() ? OpenSegment(context.env, arguments.segment)
                                                    : ReadAgainIfCut(kernel_list));
  LogReader reader(*shown.file, {}, shown.path);
  std::string line;
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      break;
    }
    const uint64_t number = shown.before + record->number;
    if (context.options.json) {
      // One object a line, so that a long segment needs no memory.
      context.host.out << Dump(ToJson(*record, number));
      continue;
    }
    line.clear();
    if (IsAggregate(*record)) {
      const auto buffer = FindField(*record->tmpl, record->fields, "buf");
      line = fmt::format("{:2} {} ima-buf {} {}\n", record->pcr, ToHex(record->digest),
                         kAggregateEvent, AsText(buffer.value_or(ByteView())));
    } else {
      AppendAscii(*record, record->digest, &line);
    }
    line.pop_back();
    context.host.out << fmt::format("{:>8} {}\n", number, Escaped(line));
  }
  return kExitOk;
}

}  // namespace imasnap::cli
