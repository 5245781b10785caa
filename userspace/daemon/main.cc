// SPDX-License-Identifier: GPL-2.0-or-later
#include <csignal>
#include <iostream>

#include "app.h"
#include "machine.h"

int main(int argc, char** argv) {
  // A log that nobody reads any more is no reason to end.
  std::signal(SIGPIPE, SIG_IGN);
  const std::unique_ptr<imasnap::FileSystem> fs = imasnap::MakePosixFileSystem();
  const imasnap::daemon::Host host{
      .fs = *fs,
      .out = std::cout,
      .err = std::cerr,
      .owner = 0,
      .now = imasnap::UtcNow,
      .kernel_release = imasnap::KernelRelease(),
      .identity = imasnap::ReadMachineIdentity(),
      .reset_count = imasnap::ReadResetCount,
      .mount = [](const imasnap::Environment&, const std::string& directory)
          -> imasnap::Result<std::unique_ptr<imasnap::daemon::ServedView>> {
        return imasnap::FileError(imasnap::ErrorCode::kFailed, directory,
                                  "this build has no view to mount");
      },
  };
  return imasnap::daemon::RunDaemon({argv + 1, argv + argc}, host);
}
