// SPDX-License-Identifier: GPL-2.0-or-later
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>

#include "base/machine.h"
#include "daemon/app.h"
#include "tpm/reset_count.h"
#include "view/view_server.h"

namespace {

class View : public imasnap::daemon::ServedView {
 public:
  explicit View(std::unique_ptr<imasnap::ViewServer> server) : server_(std::move(server)) {}
  bool alive() const override { return server_->alive(); }

 private:
  const std::unique_ptr<imasnap::ViewServer> server_;
};

imasnap::Result<std::unique_ptr<imasnap::daemon::ServedView>> MountView(
    const imasnap::Environment& env, const std::string& directory,
    const imasnap::daemon::WarningSink& warn) {
  imasnap::ViewOptions options;
  options.report = warn;
  IMASNAP_ASSIGN(std::unique_ptr<imasnap::ViewServer> server,
                 imasnap::ViewServer::Mount(env, directory, std::move(options)));
  return std::unique_ptr<imasnap::daemon::ServedView>(std::make_unique<View>(std::move(server)));
}

}  // namespace

int main(int argc, char** argv) try {
  // If nothing reads stderr any more, the daemon continues anyway.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  const std::unique_ptr<imasnap::FileSystem> fs = imasnap::MakePosixFileSystem();
  const imasnap::daemon::Host host{
      .fs = *fs,
      .out = std::cout,
      .err = std::cerr,
      .owner = 0,
      .now = imasnap::UtcNow,
      .kernel_release = imasnap::KernelRelease(),
      .identity = imasnap::ReadMachineIdentity(*fs),
      .reach_overmounted = true,
      .reset_count = imasnap::ReadResetCount,
      .mount = MountView,
  };
  return imasnap::daemon::RunDaemon({argv + 1, argv + argc}, host);
} catch (const std::exception& problem) {
  // The project throws nothing, but its libraries do if there is no memory left.
  static_cast<void>(std::fprintf(stderr, "ima-snapshotd: %s\n", problem.what()));
  return 1;
}
