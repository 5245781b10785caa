// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a command works with. It is passed in, so that tests can replace any of it.
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
#include "kernel/kernel_files.h"
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
  // The user that must own the store: root, except in tests.
  uint32_t owner = 0;
  MachineIdentity identity{};
  Progress on_progress{};
  // Called before something that others block is tried again.
  Pause pause = SleepFor;

  KernelFiles kernel() const { return {fs, securityfs, pause}; }
  Store store() const { return {fs, config.store}; }
};

// Takes the lock of the protocol (ima-snapshot.conf(5)) without waiting; it is held
// until the file is closed. kLocked if another process holds it; kFailed if another
// user owns the lock file, who could then block snapshots.
Result<std::unique_ptr<File>> AcquireLock(const Environment& env, LockMode mode);
// The same, but tries for ten seconds.
Result<std::unique_ptr<File>> AcquireLockPatiently(const Environment& env, LockMode mode);

}  // namespace imasnap

#endif  // IMASNAP_STORE_ENVIRONMENT_H_
