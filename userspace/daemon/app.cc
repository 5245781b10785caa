// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/app.h"

#include <syslog.h>
#include <systemd/sd-daemon.h>

#include <CLI/CLI.hpp>

#include "daemon/journal.h"
#include "daemon/loop.h"
#include "daemon/service.h"
#include "daemon/worker.h"
#include "kernel/securityfs.h"
#include "program/mistakes.h"
#include "tpm/tss2_log.h"

namespace imasnap::daemon {
namespace {

constexpr const char* kExamples = R"(Examples:
  systemctl enable --now ima-snapshotd        run it now and at each boot
  systemctl reload ima-snapshotd              read the configuration again
  ima-snapshotd --check-config                check the configuration
  ima-snapshotd --config ./test.conf -v       run it in a terminal and print more

Exit status: 0 ended by SIGTERM or SIGINT, 1 failed, 2 usage, 78 configuration,
kernel or store refused.
See ima-snapshotd(8) and ima-snapshot.conf(5).)";

struct Options {
  std::string config_file = kDefaultConfigFile;
  bool config_given = false;
  std::optional<std::string> store;
  std::string securityfs = kDefaultSecurityFs;
  std::string tcti;
  bool verbose = false;
  bool check_config = false;
};

void Declare(CLI::App* app, Options* options) {
  app->set_version_flag("--version", "ima-snapshotd " IMASNAP_VERSION);
  app->failure_message(program::Mistake);
  app->footer(kExamples);
  app->add_option("--config", options->config_file, "Configuration file")->type_name("FILE");
  app->add_option("--store", options->store, "Directory of the segments")->type_name("DIR");
  app->add_option("--securityfs", options->securityfs, "Where securityfs is mounted")
      ->type_name("DIR");
  app->add_option("--tcti", options->tcti, "How to reach the TPM, as in tpm2-tools")
      ->type_name("CONF");
  app->add_flag("--check-config", options->check_config, "Only check the configuration");
  app->add_flag("-v,--verbose", options->verbose, "Print more on standard error");
}

Result<Config> Load(const Host& host, const Options& options) {
  auto config = LoadConfig(host.fs, options.config_file, options.config_given, host.owner);
  if (!config.ok()) {
    config.error().code = ErrorCode::kRefused;
  } else if (options.store) {
    IMASNAP_ASSIGN(config->store, StoreOption(*options.store));
  }
  return config;
}

Status Serve(const Host& host, const Options& options, Journal* journal) {
  IMASNAP_ASSIGN(const std::unique_ptr<Loop> loop, Loop::Create());
  IMASNAP_ASSIGN(const std::unique_ptr<Worker> worker, Worker::Create());
  std::optional<SecurityFs> kernel_files;
  if (host.reach_overmounted) {
    IMASNAP_ASSIGN(SecurityFs opened,
                   SecurityFs::Open(options.securityfs, SecurityFs::When::kAlways));
    kernel_files.emplace(std::move(opened));
  }
  const Environment env{
      .fs = host.fs,
      .securityfs = kernel_files ? kernel_files->path() : options.securityfs,
      .now = host.now,
      .kernel_release = host.kernel_release,
      .reset_count = CachedResetCount([&host, &options] { return host.reset_count(options.tcti); }),
      .owner = host.owner,
      .identity = host.identity,
  };
  Service service(env, {.load_config = [&host, &options] { return Load(host, options); },
                        // If systemd does not listen, this does nothing.
                        .notify = [](const std::string& state) { sd_notify(0, state.c_str()); },
                        .journal = journal,
                        .worker = worker.get(),
                        .mount = host.mount});
  IMASNAP_RETURN_IF_ERROR(service.Start(loop->Now()));
  return loop->Run(&service, *worker);
}

}  // namespace

int RunDaemon(const std::vector<std::string>& args, const Host& host) {
  KeepTss2Quiet();
  CLI::App app("Take snapshots of the IMA measurement log before it fills the kernel's memory.",
               "ima-snapshotd");
  Options options;
  Declare(&app, &options);
  try {  // CLI11 reports errors by exception
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    app.parse(reversed);
    program::RefuseEmpty(app);
  } catch (const CLI::ParseError& problem) {
    const int code = app.exit(problem, host.out, host.err);
    return code == 0 ? kExitOk : kExitUsage;
  }
  options.config_given = app.count("--config") > 0;
  if (options.check_config) {
    const auto config = Load(host, options);
    if (!config.ok()) {
      host.err << "ima-snapshotd: " << config.error().ToString() << "\n";
    }
    return config.ok() ? kExitOk : kExitFailed;
  }
  const std::unique_ptr<Journal> journal = OpenJournal(host.err, options.verbose);
  const Status served = Serve(host, options, journal.get());
  if (!served.ok()) {
    journal->Write(
        LOG_ERR, served.error().ToString(),
        {{"IMA_EVENT", "daemon_failed"}, {"IMA_CAUSE", CauseName(served.error().cause)}});
    return served.error().code == ErrorCode::kRefused ? kExitRefused : kExitFailed;
  }
  return kExitOk;
}

}  // namespace imasnap::daemon
