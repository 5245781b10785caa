// SPDX-License-Identifier: GPL-2.0-or-later
//
// The program ima-snapshot as a function, so that tests can run it on another
// file system and read what it prints.
#ifndef IMASNAP_CLI_APP_H_
#define IMASNAP_CLI_APP_H_

#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/machine.h"
#include "base/result.h"
#include "store/environment.h"
#include "tpm/pcr_values.h"

namespace imasnap::cli {

// Exit statuses, ima-snapshot(1).
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitMismatch = 3,
  kExitCannotCheck = 4,
  kExitLocked = 75,  // EX_TEMPFAIL of sysexits.h
};

ExitCode ExitCodeFor(const Error& error);

// What the program needs from outside.
struct Host {
  FileSystem& fs;
  std::ostream& out;
  std::ostream& err;
  std::istream* in = nullptr;  // null: nothing can be read
  uint32_t owner = 0;          // of the configuration and the store
  uint32_t caller = 0;         // the user who runs it and owns state files
  std::function<std::string()> now;
  std::string kernel_release;
  MachineIdentity identity{};
  // Looks for the kernel's files underneath what is mounted over them.
  bool reach_overmounted = false;
  bool err_is_terminal = false;  // then long work shows its progress there
  bool out_is_terminal = false;
  std::function<Result<std::unique_ptr<PcrReader>>(const std::string& tcti)> open_tpm;
  // The reset count; nothing without a TPM.
  std::function<std::optional<uint32_t>(const std::string& tcti)> reset_count;
};

// The options common to all commands.
struct GlobalOptions {
  std::string config_file = kDefaultConfigFile;
  bool config_given = false;
  std::optional<std::string> store;
  std::string securityfs = kDefaultSecurityFs;
  std::string tcti;
  bool json = false;
  bool verbose = false;
};

// Runs the program and returns its exit status. `args` are without the program's name.
int RunApp(const std::vector<std::string>& args, const Host& host);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_APP_H_
