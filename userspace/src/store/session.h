// SPDX-License-Identifier: GPL-2.0-or-later
//
// Which boot the store's newest session belongs to, and how its segments and
// the kernel's list meet.
#ifndef IMASNAP_STORE_SESSION_H_
#define IMASNAP_STORE_SESSION_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/kernel_lists.h"
#include "kernel/kernel_log.h"
#include "store/environment.h"
#include "store/store.h"

namespace imasnap {

enum class SessionMatch {
  kSame,       // this boot's, and the kernel's list goes on from it
  kSameGap,    // this boot's, but the kernel's list does not go on from it
  kOtherBoot,  // an earlier boot's
};

// What tells the boots apart beside the kernel's lists.
struct BootEvidence {
  std::optional<uint32_t> reset_count_then;  // of the TPM, where known
  std::optional<uint32_t> reset_count_now;
  bool same_run = false;      // of the kernel: no boot and no kexec since
  bool same_machine = true;   // as far as both are known
  bool has_segments = false;  // the lists were compared with a last segment
  std::optional<SegmentKey> last;
  SegmentState last_state = SegmentState::kStored;
};
BootEvidence EvidenceOf(const Environment& env, const Session& session,
                        const std::optional<SegmentKey>& key);

// What to look for in the lists. A segment that was deleted after staging is not
// looked for: the same bytes could only be other records.
std::optional<SegmentKey> ToFind(const BootEvidence& evidence);

SessionMatch MatchSession(const BootEvidence& evidence, const KernelHead& head);

// Whether the records of the last segment, found to be of this boot, are still
// in the kernel.
bool StillInKernel(const BootEvidence& evidence, const KernelHead& head);

// What finds the session's last segment in the kernel's list: its metadata or,
// where there is none, its bytes. Nothing without a segment that has bytes.
Result<std::optional<SegmentKey>> LastKey(FileSystem& fs, const Session& session);

// The log of this boot as one: segments, what was staged, the kernel's list.
struct LogView {
  std::unique_ptr<File> lock;      // shared; reset it to let snapshots go on
  std::optional<Session> session;  // nothing when no segment is of this boot
  SessionMatch match = SessionMatch::kSame;
  // The segments that come before the kernel's list, in order. One that was
  // stored but not purged is left out: its records are in the list.
  std::vector<Segment> segments;
  // Records that were staged and that no segment holds, at its beginning: they
  // come between the segments and the list. A copy; null when there are none.
  std::shared_ptr<File> staged;
  std::string staged_path;
  // At its beginning. A copy where the kernel has staging, which an open reader
  // would hold up.
  std::unique_ptr<File> live;
  std::string live_path;
  bool has_staging = false;
};

// Takes the shared lock and opens the log.
Result<LogView> OpenLogView(const Environment& env);
// The same for whoever holds the lock already.
Result<LogView> OpenLogViewLocked(const Environment& env);

}  // namespace imasnap

#endif  // IMASNAP_STORE_SESSION_H_
