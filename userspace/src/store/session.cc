// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/session.h"

#include "kernel/kernel_lists.h"
#include "store/continuity.h"

namespace imasnap {
namespace {

// Finds the segments of this boot that come before the records in the kernel.
Status FindSegments(const Environment& env, KernelLists* lists, LogView* view) {
  IMASNAP_ASSIGN(view->session, env.store().LoadNewest());
  if (!view->session || view->session->segments.empty()) {
    view->session.reset();
    return {};
  }
  view->segments = view->session->segments;
  const auto find = [lists](const std::optional<SegmentKey>& segment) {
    return ReadHead(lists, segment);
  };
  IMASNAP_ASSIGN(const Continuation found,
                 LeaveOutContained(env.fs, CluesOf(env, *view->session), find, &view->segments));
  view->gap = found == Continuation::kGap;
  if (found == Continuation::kOtherBoot) {
    view->session.reset();
    view->segments.clear();
  }
  return {};
}

}  // namespace

Result<LogView> OpenLogView(const Environment& env) {
  IMASNAP_ASSIGN(std::unique_ptr<File> lock, AcquireLock(env, LockMode::kShared));
  IMASNAP_ASSIGN(LogView view, OpenLogViewLocked(env));
  view.lock = std::move(lock);
  return view;
}

Result<LogView> OpenLogViewLocked(const Environment& env) {
  LogView view;
  const KernelLog kernel = env.kernel();
  view.live_path = kernel.live_path();
  view.staged_path = kernel.staged_path();
  IMASNAP_ASSIGN(KernelLists lists, KernelLists::Open(kernel));
  view.has_staging = lists.has_staging();
  if (view.has_staging) {
    IMASNAP_RETURN_IF_ERROR(lists.Spool());
  }
  IMASNAP_RETURN_IF_ERROR(FindSegments(env, &lists, &view));
  IMASNAP_ASSIGN(view.staged, lists.TakeStaged());
  IMASNAP_ASSIGN(view.live, lists.TakeLive());
  return view;
}

}  // namespace imasnap
