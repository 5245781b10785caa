// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "log/record_format.h"
#include "store/boot_log.h"
#include "store/log_parts.h"

namespace imasnap::cli {
namespace {

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
  LogPart part;  // its path and number
  std::unique_ptr<File> file;
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
  Shown shown;
  shown.part.path = found->path;
  shown.part.segment = found->number;
  shown.before = found->info ? found->info->first_record - 1 : 0;
  IMASNAP_ASSIGN(shown.file, env.fs.OpenFile(found->path, OpenMode::kRead));
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
  Shown shown;
  shown.part.path = part.path;
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

// How often each name is in a part of the log.
struct Top {
  std::string segment;
  uint64_t records = 0;
  uint64_t undecoded = 0;
  std::map<std::string, uint64_t> names{};
};

Result<Top> CountNames(const LogPart& part, std::string name) {
  Top top{.segment = std::move(name)};
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, part.open());
  LogReader reader(*file, {}, part.path);
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      return top;
    }
    ++top.records;
    if (record->tmpl == nullptr) {
      ++top.undecoded;
    } else {
      ++top.names[std::string(record->event_name())];
    }
  }
}

// The most frequent first; then by name.
std::vector<std::pair<std::string, uint64_t>> MostFrequent(const Top& top, size_t most) {
  std::vector<std::pair<std::string, uint64_t>> sorted(top.names.begin(), top.names.end());
  std::ranges::stable_sort(sorted, std::greater(), &std::pair<std::string, uint64_t>::second);
  sorted.resize(std::min(sorted.size(), most));
  return sorted;
}

void Print(const Context& context, const Top& top, size_t most) {
  const auto frequent = MostFrequent(top, most);
  if (context.options.json) {
    Json json;
    json["segment"] = top.segment;
    json["records"] = top.records;
    json["names"] = top.names.size();
    json["not_decoded"] = top.undecoded;
    json["top"] = Json::array();
    for (const auto& [name, count] : frequent) {
      json["top"].push_back({{"name", name}, {"count", count}});
    }
    context.host.out << Dump(json);
    return;
  }
  context.host.out << fmt::format("{}: {}, {}\n", top.segment, Counted(top.records, "record"),
                                  Counted(top.names.size(), "name"));
  for (const auto& [name, count] : frequent) {
    context.host.out << fmt::format("{:>8} {}\n", count, Escaped(name));
  }
}

Result<int> ShowTop(const Context& context, const ShowArguments& arguments) {
  IMASNAP_ASSIGN(BootLog boot_log, ReadAgainIfCut([&]() -> Result<BootLog> {
                   IMASNAP_ASSIGN(BootLog copied, OpenBootLog(context.env));
                   IMASNAP_ASSIGN(copied.live, Spool(context.env.fs, *copied.live));
                   return copied;
                 }));
  std::vector<LogPart> parts = PartsOf(context.env, boot_log);
  boot_log.lock.reset();
  parts.back().open = [&boot_log]() -> Result<std::unique_ptr<File>> {
    return std::move(boot_log.live);
  };
  for (const LogPart& part : parts) {
    const bool last = &part == &parts.back();
    const std::string name = part.segment != 0 ? SegmentName(part.segment)
                             : last            ? "live"
                                               : "staged";
    if (!part.missing) {
      IMASNAP_ASSIGN(const Top top, CountNames(part, name));
      Print(context, top, arguments.top);
    }
  }
  return kExitOk;
}

}  // namespace

Result<int> ShowCommand(const Context& context, const ShowArguments& arguments) {
  if (arguments.segment.empty() && arguments.top == 0) {
    return MakeError(ErrorCode::kUsage, "give the number of a segment, live or staged, or --top N");
  }
  if (arguments.top > 0) {
    return ShowTop(context, arguments);
  }
  const auto kernel_list = [&] {
    return OpenKernelList(context.env, arguments.segment == "staged");
  };
  IMASNAP_ASSIGN(Shown shown, arguments.OfSegment() ? OpenSegment(context.env, arguments.segment)
                                                    : ReadAgainIfCut(kernel_list));
  LogReader reader(*shown.file, {}, shown.part.path);
  std::string line;
  while (true) {
    auto next = reader.Next();
    if (!next.ok()) {
      return ErrorOfPart(shown.part, std::move(next.error()));
    }
    const Record* const record = *next;
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
      IMASNAP_RETURN_IF_ERROR(CheckDecoded(*record, shown.part.path));
      AppendAscii(*record, record->digest, &line);
    }
    line.pop_back();
    context.host.out << fmt::format("{:>8} {}\n", number, Escaped(line));
  }
  return kExitOk;
}

}  // namespace imasnap::cli
