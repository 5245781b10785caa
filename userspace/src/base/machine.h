// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the machine itself knows: its time, kernel and identity.
#ifndef IMASNAP_BASE_MACHINE_H_
#define IMASNAP_BASE_MACHINE_H_

#include <string>

#include "base/file_system.h"

namespace imasnap {

std::string UtcNow();         // ISO 8601
std::string KernelRelease();  // uname(2); empty when it fails

// The machine and the run of its kernel; empty if the system does not say.
struct MachineIdentity {
  // 32 hex digits derived from machine-id(5) for this program alone, as
  // sd_id128_get_machine_app_specific(3) does: the machine-id itself is a secret.
  std::string machine;
  // /proc/sys/kernel/random/boot_id as 32 hex digits. A kexec changes it too.
  std::string boot;

  bool operator==(const MachineIdentity&) const = default;
};
MachineIdentity ReadMachineIdentity(FileSystem& fs);

}  // namespace imasnap

#endif  // IMASNAP_BASE_MACHINE_H_
