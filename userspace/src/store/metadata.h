// SPDX-License-Identifier: GPL-2.0-or-later
//
// session.json and NNNNNNNN.json: metadata of the store. Verification does not trust
// it; listing and recovery use it.
#ifndef IMASNAP_STORE_METADATA_H_
#define IMASNAP_STORE_METADATA_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "log/aggregate.h"

namespace imasnap {

inline constexpr uint64_t kStoreFormat = 1;
// Of either file. 16 banks of 24 PCRs with values of 64 bytes take a quarter.
inline constexpr size_t kMaxMetadata = size_t{256} * 1024;

// One boot: a cold boot and every kexec after it.
struct SessionInfo {
  uint64_t id = 0;
  std::string created;  // ISO 8601, UTC
  std::string kernel;   // release of the kernel that took the first snapshot
  // TPMS_CLOCK_INFO.resetCount (TPM 2.0 Part 2); nothing without a TPM 2.0.
  std::optional<uint32_t> reset_count;
  // MachineIdentity of the machine and of the run that began the session; empty if not
  // known. They help to identify machines and boots, but prove nothing.
  std::string machine;
  std::string boot;
  // The same of the last run in which the session continued. After a kexec it
  // differs from `boot`.
  std::string last_boot;
  std::string closed;  // when a later boot's session began; empty: not yet

  bool operator==(const SessionInfo&) const = default;
};

enum class SegmentState {
  kStored,     // durable; it is not known whether the kernel purged it
  kPurged,     // durable, and no longer in the kernel's memory
  kDiscarded,  // verified, and its bytes removed since (discard = "verified")
};

struct SegmentInfo {
  uint64_t number = 0;
  uint64_t attempt = kNoAttempt;  // of the aggregate that closed it
  uint64_t records = 0;
  uint64_t bytes = 0;
  Digest sha256;
  uint64_t first_record = 0;  // since cold boot, from 1
  uint64_t last_record = 0;
  std::vector<Aggregate::BankValues> banks;  // from the aggregate
  std::string taken;                         // ISO 8601, UTC
  std::string kernel;
  SegmentState state = SegmentState::kStored;
  // The segment whose records this one has too. That one was stored but not purged, and
  // no longer counts.
  std::optional<uint64_t> supersedes;

  bool operator==(const SegmentInfo&) const = default;
};

std::string FormatSession(const SessionInfo& info);
std::string FormatSegment(const SegmentInfo& info);
const char* StateName(SegmentState state);  // "stored", "purged", "discarded"

// Strict: formatting the result gives `text` again. A string has 256 bytes at most,
// and there are 16 banks at most, in the order of their names. `file` is the name
// that errors give.
Result<SessionInfo> ParseSession(std::string_view text, const std::string& file);
Result<SegmentInfo> ParseSegment(std::string_view text, const std::string& file);

}  // namespace imasnap

#endif  // IMASNAP_STORE_METADATA_H_
