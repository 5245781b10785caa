// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/app.h"

#include <fmt/format.h>

#include <utility>

#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/terminal_progress.h"
#include "kernel/securityfs.h"
#include "tpm/tss2_log.h"

namespace imasnap::cli {
namespace {

Result<int> Run(const CommandLine& line, const Host& host) {
  const GlobalOptions& global = line.global;
  Config config;
  if (!line.copies) {
    IMASNAP_ASSIGN(config,
                   LoadConfig(host.fs, global.config_file, global.config_given, host.owner));
  }
  if (global.store) {
    IMASNAP_ASSIGN(config.store, StoreOption(*global.store));
  }
  std::optional<SecurityFs> kernel_files;
  if (host.reach_overmounted && line.kernel) {
    IMASNAP_ASSIGN(SecurityFs opened,
                   SecurityFs::Open(global.securityfs, SecurityFs::When::kOvermounted));
    kernel_files.emplace(std::move(opened));
  }
  TerminalProgress progress(host.err_is_terminal ? &host.err : nullptr);
  Environment env{
      .fs = host.fs,
      .config = std::move(config),
      .securityfs = kernel_files ? kernel_files->path() : global.securityfs,
      .now = host.now,
      .kernel_release = host.kernel_release,
      .reset_count = CachedResetCount([&host, &global] { return host.reset_count(global.tcti); }),
      .owner = host.owner,
      .identity = host.identity,
      .on_progress = [&progress](uint64_t records) { return progress.Show(records); },
  };
  const Context context{host, global, env};
  return line.command(context);
}

}  // namespace

ExitCode ExitCodeFor(const Error& error) {
  switch (error.code) {
    case ErrorCode::kUsage:
      return kExitUsage;
    case ErrorCode::kMismatch:
      return kExitMismatch;
    case ErrorCode::kCannotCheck:
      return kExitCannotCheck;
    case ErrorCode::kLocked:
      return kExitLocked;
    case ErrorCode::kMalformed:
      if (error.record) {  // of a log, which contradicts the format
        return kExitMismatch;
      }
      break;
    case ErrorCode::kFailed:
    case ErrorCode::kRefused:
      break;
  }
  return kExitFailed;
}

std::string RecordRange(const SegmentInfo& info) {
  return info.records == 0 ? "none" : fmt::format("{}-{}", info.first_record, info.last_record);
}

std::string RecordsText(const SegmentInfo& info) {
  if (info.records <= 1) {
    return info.records == 0 ? "no records" : fmt::format("record {}", info.first_record);
  }
  return "records " + RecordRange(info);
}

void Context::Diagnose(const std::string& text) const {
  host.err << "ima-snapshot: " << text << "\n";
}

namespace {

void PrintError(const Error& error, bool json, std::ostream& err) {
  if (json) {
    Json line;
    line["error"] = ToJson(error);
    err << Dump(line);
  } else {
    err << "ima-snapshot: " << error.ToString() << "\n";
  }
}

}  // namespace

void Context::DiagnoseError(const Error& error) const { PrintError(error, options.json, host.err); }

int RunApp(const std::vector<std::string>& args, const Host& host) {
  KeepTss2Quiet();
  const auto parsed = ParseCommandLine(args, host);
  const auto* const line = std::get_if<CommandLine>(&parsed);
  Result<int> result = line != nullptr ? Run(*line, host) : std::get<ExitCode>(parsed);
  if (!result.ok()) {
    PrintError(result.error(), line != nullptr && line->global.json, host.err);
    return ExitCodeFor(result.error());
  }
  host.out.flush();
  if (!host.out) {
    PrintError(FileError(ErrorCode::kFailed, Cause::kNotWritten, "standard output",
                         "could not be written"),
               line != nullptr && line->global.json, host.err);
    return kExitFailed;
  }
  return *result;
}

}  // namespace imasnap::cli
