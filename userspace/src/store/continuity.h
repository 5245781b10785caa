// SPDX-License-Identifier: GPL-2.0-or-later
//
// Whether a list continues a segment, and how. STORE.md has the rules ("States of the
// last segment", "Whether the newest session belongs to this boot"). All code asks
// here, except verification: it trusts no metadata and checks each link of the chain
// itself.
#ifndef IMASNAP_STORE_CONTINUITY_H_
#define IMASNAP_STORE_CONTINUITY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "kernel/kernel_lists.h"
#include "log/aggregate.h"
#include "store/environment.h"
#include "store/metadata.h"
#include "store/store.h"

namespace imasnap {

// What identifies a segment, and the aggregate that closed it.
struct SegmentKey {
  // Nothing: not known, so any aggregate may have closed it, or none. kNoAttempt: none
  // did, because staging took it.
  std::optional<uint64_t> attempt;
  uint64_t bytes = 0;
  Digest sha256;
  SegmentState state = SegmentState::kStored;
  // SHA-256 of the aggregate's template data, if it was seen: only that one closed it.
  std::optional<Digest> aggregate{};
};
SegmentKey KeyOf(const SegmentInfo& info);
// From the metadata of the last segment, or from its bytes if it has none. Nothing if
// there is no segment, or if its bytes are missing or damaged.
Result<std::optional<SegmentKey>> LastKey(FileSystem& fs, const std::vector<Segment>& segments);

// The record that a list or a segment begins with.
struct FirstRecord {
  explicit FirstRecord(const Record& record);

  std::string event;
  bool begins_boot = false;  // IsBootAggregate()
  Digest sha256;             // of the whole record
  Digest data_sha256;        // of its template data
  // Nothing if it is not an aggregate; an error if it is one that cannot be read.
  std::optional<Result<Aggregate>> aggregate;
};

// How the part that a record begins follows the segment before it.
enum class Link {
  kClosed,          // with the aggregate that closed the segment
  kUnchained,       // with no such aggregate, and none must be there: only PCRs prove it
  kOtherAggregate,  // not: it begins with an aggregate that did not close the segment
  kNoAggregate,     // not: an aggregate closed the segment, and it does not begin with one
};
Link LinkTo(const SegmentKey& before, const FirstRecord& first);

enum class SegmentPlace {
  kBefore,   // the list begins with the aggregate that closed the segment
  kInList,   // it begins with the segment's bytes and, if one closed it, that aggregate
  kNowhere,  // neither, or no segment was looked for
};

// What a list begins with, and where a segment is relative to it.
struct ListHead {
  std::optional<FirstRecord> first;  // nothing: the list is empty
  bool staged = false;               // these are the staged records; the list follows
  SegmentPlace place = SegmentPlace::kNowhere;
  std::optional<Aggregate> closing;  // that closed the segment, if it was found
  bool ends = false;                 // kInList: nothing follows the segment
};
// Reads as much of `list`, from its beginning, as the answer needs. A segment that was
// deleted after staging is not looked for: the same bytes could only be other records.
Result<ListHead> ReadHead(ByteSource& list, const std::string& name,
                          const std::optional<SegmentKey>& segment);
// The same for what the kernel has: the staged records or, if there are none, its list.
Result<ListHead> ReadHead(KernelLists* lists, const std::optional<SegmentKey>& segment);

// What identifies the boot of a session, apart from the lists. With the defaults,
// nothing is known.
struct BootClues {
  std::optional<uint32_t> reset_count_then;  // of the TPM, in session.json
  std::optional<uint32_t> reset_count_now;
  bool same_run = false;      // of the kernel: neither a boot nor a kexec came between
  bool same_machine = true;   // as far as both are known
  bool has_segments = false;  // even if the last one cannot be identified
};
BootClues CluesOf(const Environment& env, const Session& session);

// How the kernel's list continues the last segment of a session.
enum class Continuation {
  kContinues,  // it follows the segment, or the session has no segment
  kContains,   // it begins with the segment's records, which were not purged
  kGap,        // it is of the same boot, but records are missing before it
  kOtherBoot,  // it is of another boot
};
Continuation ContinuationOf(const BootClues& clues, const std::optional<SegmentKey>& last,
                            const ListHead& head);

// Whether kOtherBoot may only mean that the TPM did not give its reset count.
bool NeedsResetCount(const BootClues& clues, const std::optional<SegmentKey>& last);

// Whether `list` begins with all records of the segment, which were not purged.
Result<bool> Contains(ByteSource& list, const std::string& name, const SegmentInfo& segment);

// Looks for a segment in a list, like ReadHead().
using FindInList = std::function<Result<ListHead>(const std::optional<SegmentKey>&)>;
// How the list continues `segments`. If it contains the last one, that is removed from
// them, and with it the one that it supersedes.
Result<Continuation> LeaveOutContained(FileSystem& fs, const BootClues& clues,
                                       const FindInList& find, std::vector<Segment>* segments);

}  // namespace imasnap

#endif  // IMASNAP_STORE_CONTINUITY_H_
