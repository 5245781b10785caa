// SPDX-License-Identifier: GPL-2.0-or-later
//
// The program ima-snapshotd: reads its options and sets up the service.
#ifndef IMASNAP_DAEMON_APP_H_
#define IMASNAP_DAEMON_APP_H_

#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/machine.h"
#include "daemon/view_keeper.h"
#include "store/environment.h"

namespace imasnap::daemon {

// Exit statuses, ima-snapshotd(8); the numbers are those of ima-snapshot(1).
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitRefused = 78,  // EX_CONFIG of sysexits.h: systemd does not start it again
};

// What the program needs from outside.
struct Host {
  FileSystem& fs;
  std::ostream& out;
  std::ostream& err;
  uint32_t owner = 0;  // of the configuration and the store
  std::function<std::string()> now;
  std::string kernel_release;
  MachineIdentity identity{};
  // Reaches the kernel's files underneath what is, or will be, mounted over them.
  bool reach_overmounted = false;
  // The reset count; nothing without a TPM.
  std::function<std::optional<uint32_t>(const std::string& tcti)> reset_count;
  Mounter mount;
};

// Runs the program until it is stopped, and returns its exit status. `args` are without
// the program's name.
int RunDaemon(const std::vector<std::string>& args, const Host& host);

}  // namespace imasnap::daemon

#endif  // IMASNAP_DAEMON_APP_H_
