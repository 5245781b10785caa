// SPDX-License-Identifier: GPL-2.0-or-later
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <iostream>

#include "base/machine.h"
#include "cli/app.h"
#include "tpm/reset_count.h"
#include "tpm/tpm.h"

int main(int argc, char** argv) try {
  std::ios::sync_with_stdio(false);
  const std::unique_ptr<imasnap::FileSystem> fs = imasnap::MakePosixFileSystem();
  const imasnap::cli::Host host{
      .fs = *fs,
      .out = std::cout,
      .err = std::cerr,
      .in = &std::cin,
      .owner = 0,
      .caller = ::geteuid(),
      .now = imasnap::UtcNow,
      .kernel_release = imasnap::KernelRelease(),
      .identity = imasnap::ReadMachineIdentity(*fs),
      .reach_overmounted = true,
      .err_is_terminal = ::isatty(STDERR_FILENO) == 1,
      .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
      .open_tpm =
          [](const std::string& tcti) -> imasnap::Result<std::unique_ptr<imasnap::PcrReader>> {
        auto tpm = imasnap::Tpm::Open(tcti);
        if (!tpm.ok()) {
          return std::move(tpm.error());
        }
        return std::unique_ptr<imasnap::PcrReader>(std::move(*tpm));
      },
      .reset_count = imasnap::ReadResetCount,
  };
  return imasnap::cli::RunApp({argv + 1, argv + argc}, host);
} catch (const std::exception& problem) {
  // The project throws nothing, but its libraries do if there is no memory left.
  static_cast<void>(std::fprintf(stderr, "ima-snapshot: %s\n", problem.what()));
  return 1;
}
