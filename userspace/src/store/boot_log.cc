// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/boot_log.h"

#include "kernel/kernel_lists.h"
#include "store/continuity.h"

namespace imasnap {
namespace {

// Finds the segments of this boot that come before the records in the kernel.
Status FindSegments(const Environment& env, KernelLists* lists, BootLog* boot_log) {
  IMASNAP_ASSIGN(boot_log->session, env.store().LoadNewest());
  if (!boot_log->session || boot_log->session->segments.empty()) {
    boot_log->session.reset();
    return {};
  }
  boot_log->segments = boot_log->session->segments;
  const auto find = [lists](const std::optional<SegmentKey>& segment) {
    return ReadHead(lists, segment);
  };
  IMASNAP_ASSIGN(
      const Continuation found,
      LeaveOutContained(env.fs, CluesOf(env, *boot_log->session), find, &boot_log->segments));
  boot_log->gap = found == Continuation::kGap;
  if (found == Continuation::kOtherBoot) {
    boot_log->session.reset();
    boot_log->segments.clear();
  }
  return {};
}

}  // namespace

Result<BootLog> OpenBootLog(const Environment& env) {
  IMASNAP_ASSIGN(std::unique_ptr<File> lock, AcquireLock(env, LockMode::kShared));
  IMASNAP_ASSIGN(BootLog boot_log, OpenBootLogLocked(env));
  boot_log.lock = std::move(lock);
  return boot_log;
}

Result<BootLog> OpenBootLogLocked(const Environment& env) {
  BootLog boot_log;
  const KernelFiles kernel = env.kernel();
  boot_log.live_path = kernel.live_path();
  boot_log.staged_path = kernel.staged_path();
  IMASNAP_ASSIGN(KernelLists lists, KernelLists::Open(kernel));
  boot_log.has_staging = lists.has_staging();
  if (boot_log.has_staging) {
    IMASNAP_RETURN_IF_ERROR(lists.Spool());
  }
  IMASNAP_RETURN_IF_ERROR(FindSegments(env, &lists, &boot_log));
  IMASNAP_ASSIGN(boot_log.staged, lists.TakeStaged());
  IMASNAP_ASSIGN(boot_log.live, lists.TakeLive());
  return boot_log;
}

}  // namespace imasnap
