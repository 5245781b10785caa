// SPDX-License-Identifier: GPL-2.0-or-later
#include "app.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "commands.h"
#include "securityfs.h"
#include "terminal_progress.h"

namespace imasnap::cli {
namespace {

constexpr const char* kExamples = R"(Examples:
  ima-snapshot take                      store the log's records and free the kernel's memory
  ima-snapshot take --mark               record the marker only, keep everything in the kernel
  ima-snapshot verify --tpm              check the whole log since boot against the TPM
  ima-snapshot verify --tpm --state FILE the same, reading only what is new since the last time
  ima-snapshot ak create                 an attestation key, in the store
  ima-snapshot quote --nonce 1f --out q  a quote of the log's PCRs, for a verifier
  ima-snapshot cat --ascii | less        the whole log, as the kernel would print it
  ima-snapshot cat --hash sha256 >log    the same in binary, with SHA-256 template digests

Exit status: 0 ok, 1 failed, 2 usage, 3 mismatch, 4 could not check, 75 locked by another.
See ima-snapshot(1) and ima-snapshot.conf(5).)";

void DeclareGlobal(CLI::App* app, GlobalOptions* options) {
  GlobalOptions& global = *options;
  app->set_version_flag("--version", "ima-snapshot " IMASNAP_VERSION);
  app->footer(kExamples);
  app->require_subcommand(1);
  app->fallthrough();
  app->add_option("--config", global.config_file, "Configuration file")->type_name("FILE");
  app->add_option("--store", global.store, "Directory of the segments")->type_name("DIR");
  app->add_option("--securityfs", global.securityfs, "Where securityfs is mounted")
      ->type_name("DIR");
  app->add_option("--tcti", global.tcti, "How to reach the TPM, as in tpm2-tools")
      ->type_name("CONF");
  app->add_flag("--json", global.json, "Print JSON");
  app->add_flag("-v,--verbose", global.verbose, "Say more on standard error");
}

Result<int> Run(const Command& command, const GlobalOptions& global, const Host& host) {
  IMASNAP_ASSIGN(Config config,
                 LoadConfig(host.fs, global.config_file, global.config_given, host.owner));
  if (global.store) {
    config.store = *global.store;
  }
  std::optional<SecurityFs> uncovered;
  if (host.uncover_securityfs) {
    IMASNAP_ASSIGN(SecurityFs opened,
                   SecurityFs::Open(global.securityfs, SecurityFs::When::kCovered));
    uncovered.emplace(std::move(opened));
  }
  TerminalProgress progress(host.err_is_terminal ? &host.err : nullptr);
  Environment env{
      .fs = host.fs,
      .config = std::move(config),
      .securityfs = uncovered ? uncovered->path() : global.securityfs,
      .now = host.now,
      .kernel_release = host.kernel_release,
      .reset_count = ToldOnce([&host, &global] { return host.reset_count(global.tcti); }),
      .owner = host.owner,
      .identity = host.identity,
      .on_progress = [&progress](uint64_t records) { return progress.Show(records); },
  };
  const Context context{host, global, env};
  return command(context);
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
    case ErrorCode::kFailed:
    case ErrorCode::kMalformed:
      break;
  }
  return kExitFailed;
}

CLI::App* CommandTable::Add(const std::string& name, const std::string& description,
                            Command command) {
  CLI::App* subcommand = app_->add_subcommand(name, description);
  commands_.emplace(subcommand, std::move(command));
  return subcommand;
}

const Command& CommandTable::Chosen() const {
  return commands_.at(app_->get_subcommands().front());
}

std::string RecordRange(const SegmentInfo& info) {
  return fmt::format("{}-{}", info.first_record, info.last_record);
}

// A failure to read is, for verification, a failure to check.
Error CannotCheck(Error error) {
  if (error.code == ErrorCode::kFailed) {
    error.code = ErrorCode::kCannotCheck;
  }
  return error;
}

void Context::Diagnose(const std::string& text) const {
  host.err << "ima-snapshot: " << text << "\n";
}

int RunApp(const std::vector<std::string>& args, const Host& host) {
  CLI::App app("Move the IMA measurement log out of kernel memory without losing its proof.",
               "ima-snapshot");
  GlobalOptions global;
  DeclareGlobal(&app, &global);
  CommandTable commands(&app);
  AddTakeCommand(&commands);
  AddStatusCommand(&commands);
  AddListCommands(&commands);
  AddCatCommand(&commands);
  AddVerifyCommand(&commands);
  AddMountCommand(&commands);
  AddGcCommand(&commands);
  AddAkCommand(&commands);
  AddQuoteCommand(&commands);
  try {  // CLI11 reports by exception
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& problem) {
    const int code = app.exit(problem, host.out, host.err);
    return code == 0 ? kExitOk : kExitUsage;
  }
  global.config_given = app.count("--config") > 0;
  auto result = Run(commands.Chosen(), global, host);
  if (!result.ok()) {
    host.err << "ima-snapshot: " << result.error().ToString() << "\n";
    return ExitCodeFor(result.error());
  }
  host.out.flush();
  if (!host.out) {
    host.err << "ima-snapshot: standard output: could not be written\n";
    return kExitFailed;
  }
  return *result;
}

}  // namespace imasnap::cli
