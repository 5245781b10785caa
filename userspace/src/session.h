// SPDX-License-Identifier: GPL-2.0-or-later
//
// Which boot the store's newest session belongs to, and how its segments and
// the kernel's list meet.
#ifndef IMASNAP_SESSION_H_
#define IMASNAP_SESSION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "environment.h"
#include "kernel_log.h"
#include "result.h"
#include "store.h"

namespace imasnap {

enum class SessionMatch {
  kSame,       // this boot's, and the kernel's list goes on from it
  kSameGap,    // this boot's, but the kernel's list does not go on from it
  kOtherBoot,  // an earlier boot's
};

// `stored` and `now` are the TPM's reset counts, where known. `has_segments`:
// whether `head` was compared with a last segment, which `last_attempt` closed.
SessionMatch MatchSession(std::optional<uint32_t> stored, std::optional<uint32_t> now,
                          bool has_segments, std::optional<uint64_t> last_attempt,
                          const LiveHead& head);

// What finds the session's last segment in the kernel's list: its metadata or,
// where there is none, its bytes. Nothing without a segment that has bytes.
Result<std::optional<SegmentKey>> LastKey(FileSystem& fs, const Session& session);

// The log of this boot as one: segments, then the kernel's list.
struct LogView {
  std::unique_ptr<File> lock;      // shared; reset it to let snapshots go on
  std::optional<Session> session;  // nothing when no segment is of this boot
  SessionMatch match = SessionMatch::kSame;
  // The segments that come before the kernel's list, in order. One that was
  // stored but not purged is left out: its records are in the list.
  std::vector<Segment> segments;
  std::unique_ptr<File> live;  // at its beginning
  std::string live_path;
};

// Takes the shared lock and opens the log.
Result<LogView> OpenLogView(const Environment& env);
// The same for whoever holds the lock already.
Result<LogView> OpenLogViewLocked(const Environment& env);

// Takes away the segments at the end of `segments` whose records the list that
// `open` gives still holds; `start` is what CompareWithLive() said of the last.
Status LeaveOutUnpurged(const std::function<Result<std::unique_ptr<File>>()>& open, LiveStart start,
                        std::vector<Segment>* segments);

}  // namespace imasnap

#endif  // IMASNAP_SESSION_H_
