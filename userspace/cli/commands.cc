// SPDX-License-Identifier: GPL-2.0-or-later
#include "commands.h"

#include <fmt/format.h>

#include "json.h"
#include "record_format.h"
#include "session.h"
#include "snapshot.h"
#include "stitch.h"
#include "verify.h"

namespace imasnap::cli {
namespace {

std::string Range(const SegmentInfo& info) {
  return fmt::format("{}-{}", info.first_record, info.last_record);
}

const char* StateName(SegmentState state) {
  return state == SegmentState::kPurged ? "purged" : "stored, not purged";
}

// "1", "00000001" to 1.
std::optional<uint64_t> SegmentNumber(std::string_view text) {
  while (text.size() > 1 && text[0] == '0') {
    text.remove_prefix(1);
  }
  return ParseDecimal(text);
}

// A failure to read is, for verification, a failure to check.
Error CannotCheck(Error error) {
  if (error.code == ErrorCode::kFailed) {
    error.code = ErrorCode::kCannotCheck;
  }
  return error;
}

Result<std::unique_ptr<PcrReader>> OpenPcrs(const Context& context,
                                            const VerifyArguments& arguments) {
  if (arguments.tpm) {
    return context.host.open_tpm(context.options.tcti);
  }
  if (arguments.pcr_files.empty()) {
    return std::unique_ptr<PcrReader>();
  }
  PcrValues all;
  for (const std::string& file : arguments.pcr_files) {
    IMASNAP_ASSIGN(const std::string text, context.env.fs.ReadFile(file, 1U << 20));
    IMASNAP_ASSIGN(const PcrValues values, ParsePcrText(text, file));
    for (const auto& [bank, pcrs] : values) {
      for (const auto& [pcr, value] : pcrs) {
        if (!all[bank].emplace(pcr, value).second) {
          return FileError(ErrorCode::kCannotCheck, file,
                           fmt::format("gives {} PCR {} again", bank, pcr));
        }
      }
    }
  }
  return std::unique_ptr<PcrReader>(std::make_unique<FixedPcrs>(std::move(all)));
}

void PrintReport(const VerifyReport& report, std::ostream& out) {
  out << fmt::format("records     {} ({} in {} segments, {} in the kernel)\n", report.records,
                     report.records - report.live_records, report.segments, report.live_records);
  out << fmt::format("aggregates  {} ({} PCR values checked by replay)\n", report.aggregates,
                     report.pcr_checks);
  out << fmt::format("violations  {}\n", report.violations);
  for (const BankReport& bank : report.banks) {
    for (const auto& [pcr, value] : bank.pcrs) {
      out << fmt::format("{:<11} PCR {} {}{}{}\n", bank.name, pcr, value.Hex(),
                         bank.padded_sha1 ? " (padded SHA-1)" : "",
                         bank.compared ? " matches" : "");
    }
  }
  for (const std::string& bank : report.unchecked_banks) {
    out << fmt::format("{:<11} not checked: its hash is not available here\n", bank);
  }
  if (report.finding) {
    const Finding& finding = *report.finding;
    out << fmt::format("MISMATCH    in {}{}{}\n",
                       finding.segment == 0
                           ? std::string("the kernel's list")
                           : fmt::format("segment {}", SegmentName(finding.segment)),
                       finding.record ? fmt::format(", record {}", *finding.record) : "",
                       finding.bank.empty() ? "" : fmt::format(", bank {}", finding.bank));
    return;
  }
  if (report.matched_record) {
    const uint64_t later = report.records - *report.matched_record;
    out << fmt::format(
        "OK          the log matches the PCRs at record {}{}\n", *report.matched_record,
        later == 0 ? "" : fmt::format("; {} later records are not covered by them", later));
  } else {
    out << "OK          the log agrees with itself (no PCRs were given to compare with)\n";
  }
}

// One object a line.
Status WriteJson(const std::vector<LogPart>& parts, uint64_t from, std::ostream& out) {
  IMASNAP_RETURN_IF_ERROR(CheckComplete(parts));
  uint64_t before = 0;
  for (const LogPart& part : parts) {
    IMASNAP_ASSIGN(const std::unique_ptr<File> file, part.open());
    LogReader reader(*file, {}, part.path);
    while (true) {
      IMASNAP_ASSIGN(const Record* record, reader.Next());
      if (record == nullptr) {
        break;
      }
      if (before + record->number >= from) {
        out << Dump(ToJson(*record, before + record->number));
      }
    }
    before += reader.records();
  }
  return {};
}

}  // namespace

Result<int> TakeCommand(const Context& context, bool mark) {
  const bool only_mark = mark || context.env.config.mode == SnapshotMode::kMark;
  std::vector<std::string> notes;
  auto result = TakeSnapshot(context.env, only_mark, &notes);
  for (const std::string& note : notes) {
    context.Diagnose("note: " + note);
  }
  if (!result.ok()) {
    return std::move(result.error());
  }
  if (context.options.json) {
    Json json;
    json["attempt"] = result->attempt;
    json["marked_only"] = !result->segment;
    json["session"] = result->segment ? Json(result->session) : Json(nullptr);
    json["segment"] = result->segment ? ToJson(*result->segment) : Json(nullptr);
    json["notes"] = notes;
    context.host.out << Dump(json);
  } else if (result->segment) {
    const SegmentInfo& segment = *result->segment;
    context.host.out << fmt::format(
        "segment {}: attempt {}, records {}, {} bytes, purged from the kernel\n",
        SegmentName(segment.number), segment.attempt, Range(segment), segment.bytes);
  } else {
    context.host.out << fmt::format("attempt {}: aggregate recorded, nothing purged\n",
                                    result->attempt);
  }
  return kExitOk;
}

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
      out << fmt::format("{:<9} {:>7} {:>17} {:>9} {:>11}  {:<20} {}{}\n",
                         SegmentName(segment.number), info.attempt, Range(info), info.records,
                         info.bytes, info.taken, StateName(info.state),
                         segment.has_data ? "" : ", MISSING");
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

Result<int> ShowCommand(const Context& context, const std::string& segment) {
  IMASNAP_ASSIGN(LogView view, OpenLogView(context.env));
  std::unique_ptr<File> file;
  std::string path;
  uint64_t before = 0;  // records before the file
  if (segment == "live") {
    IMASNAP_ASSIGN(file, Spool(context.env.fs, *view.live));
    path = view.live_path;
    if (!view.segments.empty() && view.segments.back().info) {
      before = view.segments.back().info->last_record;
    }
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
      return MakeError(ErrorCode::kUsage, fmt::format("there is no segment {}", segment));
    }
    path = found->path;
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

Result<int> CatCommand(const Context& context, const CatArguments& arguments) {
  const auto alg = HashFromName(arguments.hash);
  if (!alg) {
    return MakeError(ErrorCode::kUsage, fmt::format("--hash: \"{}\" is not known", arguments.hash));
  }
  if (context.options.json && (arguments.ascii || *alg != HashAlg::kSha1)) {
    return MakeError(ErrorCode::kUsage, "--json goes with neither --ascii nor --hash");
  }
  IMASNAP_ASSIGN(LogView view, OpenLogView(context.env));
  if (view.match == SessionMatch::kSameGap) {
    return FileError(ErrorCode::kMismatch, view.live_path,
                     "does not go on from the last segment stored");
  }
  // Copied while the lock is held, so that a slow reader holds up no snapshot.
  IMASNAP_ASSIGN(std::unique_ptr<File> live, Spool(context.env.fs, *view.live));
  view.lock.reset();
  std::vector<LogPart> parts = PartsOf(context.env, view);
  parts.back().open = [&live]() -> Result<std::unique_ptr<File>> { return std::move(live); };
  std::ostream& out = context.host.out;
  if (context.options.json) {
    IMASNAP_RETURN_IF_ERROR(WriteJson(parts, arguments.from, out));
    return kExitOk;
  }
  const ByteSink sink = [&out](ByteView bytes) -> Status {
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    if (!out) {
      return FileError(ErrorCode::kFailed, "standard output", "could not be written");
    }
    return {};
  };
  IMASNAP_ASSIGN(const uint64_t written,
                 WriteLog(parts, {arguments.ascii, *alg, arguments.from}, sink));
  if (context.options.verbose) {
    context.Diagnose(fmt::format("{} records written", written));
  }
  return kExitOk;
}

Result<int> VerifyCommand(const Context& context, const VerifyArguments& arguments) {
  auto pcrs = OpenPcrs(context, arguments);
  if (!pcrs.ok()) {
    return CannotCheck(std::move(pcrs.error()));
  }
  auto view = OpenLogView(context.env);
  if (!view.ok()) {
    return CannotCheck(std::move(view.error()));
  }
  auto report = VerifyLog(PartsOf(context.env, *view), pcrs->get());
  if (!report.ok()) {
    return CannotCheck(std::move(report.error()));
  }
  if (context.options.json) {
    context.host.out << Dump(ToJson(*report));
  } else {
    PrintReport(*report, context.host.out);
  }
  if (report->finding) {
    context.Diagnose(report->finding->ToError().ToString());
    return kExitMismatch;
  }
  return kExitOk;
}

}  // namespace imasnap::cli
