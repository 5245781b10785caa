// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a command works on, handed in so that tests can replace any of it.
#ifndef IMASNAP_STORE_ENVIRONMENT_H_
#define IMASNAP_STORE_ENVIRONMENT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/machine.h"
#include "base/progress.h"
#include "base/result.h"
#include "kernel/kernel_log.h"
#include "store/config.h"
#include "store/store.h"
#include "tpm/reset_count.h"

namespace imasnap {

struct Environment {
  FileSystem& fs;
  Config config{};
  std::string securityfs = kDefaultSecurityFs;
  std::function<std::string()> now{};  // ISO 8601, UTC
  std::string kernel_release{};
  ResetCount reset_count{};
  // Who must own the store: root, but in tests.
  uint32_t owner = 0;
  MachineIdentity identity{};
  Progress on_progress{};
  // Before something that others held up is tried again.
  Pause pause = SleepFor;

  KernelLog kernel() const { return {fs, securityfs, pause}; }
  Store store() const { return {fs, config.store}; }
};

// Takes the lock of the protocol (ima-snapshot.conf(5)) without waiting; it is
// held as long as the file. kLocked when another process holds it; kFailed when
// the lock file is not the owner's, because then anybody could hold it.
Result<std::unique_ptr<File>> AcquireLock(const Environment& env, LockMode mode);

}  // namespace imasnap

#endif  // IMASNAP_STORE_ENVIRONMENT_H_
