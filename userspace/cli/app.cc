// SPDX-License-Identifier: GPL-2.0-or-later
#include "app.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "commands.h"

namespace imasnap::cli {
namespace {

constexpr const char* kExamples = R"(Examples:
  ima-snapshot take                      store the log's records and free the kernel's memory
  ima-snapshot take --mark               record the marker only, keep everything in the kernel
  ima-snapshot verify --tpm              check the whole log since boot against the TPM
  ima-snapshot cat --ascii | less        the whole log, as the kernel would print it
  ima-snapshot cat --hash sha256 >log    the same in binary, with SHA-256 template digests

Exit status: 0 ok, 1 failed, 2 usage, 3 mismatch, 4 could not check, 75 locked by another.
See ima-snapshot(1) and ima-snapshot.conf(5).)";

struct Arguments {
  GlobalOptions global;
  bool mark = false;
  std::string segment;
  CatArguments cat;
  VerifyArguments verify;
};

void Declare(CLI::App* app, Arguments* args) {
  GlobalOptions& global = args->global;
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

  auto* take = app->add_subcommand("take", "Take a snapshot now");
  take->add_flag("--mark", args->mark, "Record the aggregate only; store and purge nothing");
  app->add_subcommand("status", "What the kernel offers and what the store holds");
  app->add_subcommand("list", "The segments of this boot");
  auto* show = app->add_subcommand("show", "The records of one segment, decoded");
  show->add_option("SEGMENT", args->segment, "Number of the segment, or \"live\"")->required();
  auto* cat = app->add_subcommand("cat", "The whole log since cold boot, in the kernel's format");
  cat->add_flag("--ascii", args->cat.ascii, "As in ascii_runtime_measurements");
  cat->add_option("--hash", args->cat.hash, "Algorithm of the template digests")->type_name("ALG");
  cat->add_option("--from", args->cat.from, "Begin with record N, counted from 1")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  auto* verify = app->add_subcommand("verify", "Check the whole log since cold boot");
  auto* tpm = verify->add_flag("--tpm", args->verify.tpm, "Compare with the TPM's PCRs");
  verify
      ->add_option("--pcrs", args->verify.pcr_files,
                   "Compare with PCRs from a file (tpm2_pcrread's or the kernel's form)")
      ->type_name("FILE")
      ->take_all()
      ->allow_extra_args(false)
      ->excludes(tpm);
}

Result<int> Dispatch(const CLI::App& app, const Arguments& args, const Context& context) {
  const std::string name = app.get_subcommands().front()->get_name();
  if (name == "take") {
    return TakeCommand(context, args.mark);
  }
  if (name == "status") {
    return StatusCommand(context);
  }
  if (name == "list") {
    return ListCommand(context);
  }
  if (name == "show") {
    return ShowCommand(context, args.segment);
  }
  if (name == "cat") {
    return CatCommand(context, args.cat);
  }
  return VerifyCommand(context, args.verify);
}

Result<int> Run(const CLI::App& app, const Arguments& args, const Host& host) {
  const GlobalOptions& global = args.global;
  IMASNAP_ASSIGN(Config config,
                 LoadConfig(host.fs, global.config_file, global.config_given, host.owner));
  if (global.store) {
    config.store = *global.store;
  }
  Environment env{
      host.fs,   std::move(config),   global.securityfs,
      host.now,  host.kernel_release, [&host, &global] { return host.reset_count(global.tcti); },
      host.owner};
  const Context context{host, global, env};
  return Dispatch(app, args, context);
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

void Context::Diagnose(const std::string& text) const {
  host.err << "ima-snapshot: " << text << "\n";
}

int RunApp(const std::vector<std::string>& args, const Host& host) {
  CLI::App app("Move the IMA measurement log out of kernel memory without losing its proof.",
               "ima-snapshot");
  Arguments parsed;
  Declare(&app, &parsed);
  try {  // CLI11 reports by exception
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& problem) {
    const int code = app.exit(problem, host.out, host.err);
    return code == 0 ? kExitOk : kExitUsage;
  }
  parsed.global.config_given = app.count("--config") > 0;
  auto result = Run(app, parsed, host);
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
