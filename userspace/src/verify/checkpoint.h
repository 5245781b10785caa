// SPDX-License-Identifier: GPL-2.0-or-later
//
// The state with which a verifier continues where it ended (RFC v2, section D.4.b): how
// far the log was verified, and the PCRs there.
//
// The file has two lines, in this form and no other:
//
//   <the checkpoint as JSON>
//   sha256 <hex>              or: hmac-sha256 <hex>
//
// The digest is over the first line with its newline. Without a key it only detects
// damage: anyone who can write the file can forge it. With a key, only someone who
// knows the key can.
#ifndef IMASNAP_VERIFY_CHECKPOINT_H_
#define IMASNAP_VERIFY_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/hash.h"
#include "base/result.h"
#include "log/replay.h"
#include "store/metadata.h"

namespace imasnap {

inline constexpr uint64_t kCheckpointFormat = 1;

// Identifies the log. Empty members are not known and are not compared.
struct LogIdentity {
  std::string machine;  // as in SessionInfo
  std::string boot;
  std::string created;
  std::optional<uint32_t> reset_count;

  bool operator==(const LogIdentity&) const = default;
};

LogIdentity IdentityOf(const SessionInfo& info);

// What the last quote of an attestation key said (TPMS_CLOCK_INFO).
struct QuoteSeen {
  uint32_t reset_count = 0;
  uint32_t restart_count = 0;
  uint64_t clock = 0;

  bool operator==(const QuoteSeen&) const = default;
};

// The boundary is after record `records`, the last one of segment `segment`, and before
// the aggregate that closed it. With 0 records it is the beginning of the log.
struct Checkpoint {
  struct BankState {
    Bank bank;
    std::map<uint32_t, Digest> pcrs;  // those that the records extended

    bool operator==(const BankState&) const = default;
  };

  LogIdentity identity;
  Digest first_record;  // SHA-256 of the log's first record
  uint64_t records = 0;
  uint64_t segment = 0;
  Digest segment_sha256;  // empty with 0 records
  uint64_t aggregates = 0;
  uint64_t violations = 0;
  // Of the aggregate at the boundary; 0 and empty with 0 records, and if no aggregate
  // closed the segment (staging).
  uint64_t attempt = 0;
  Digest aggregate;  // SHA-256 of its template data
  std::vector<BankState> banks;
  std::map<std::string, QuoteSeen> quotes;  // by the key's name, in hex

  bool operator==(const Checkpoint&) const = default;
};

// One line of JSON, with its newline.
std::string FormatCheckpoint(const Checkpoint& checkpoint);
// Strict: FormatCheckpoint() of the result is `text`. kMalformed; `file` is the
// name that errors give.
Result<Checkpoint> ParseCheckpoint(std::string_view text, const std::string& file);

// The bytes of a key file. Refused unless only `caller` can read it and it has 16 to
// 4096 bytes.
Result<std::string> LoadStateKey(FileSystem& fs, const std::string& path, uint32_t caller);

// Takes <path>.lock, exclusively. Held from LoadState() to SaveState(), it prevents
// that another process writes the state in between. kLocked; kCannotCheck if `path` is
// not a regular file, or the lock file is not owned by `caller`. Null if the lock file
// cannot be created; then SaveState() fails, too.
Result<std::unique_ptr<File>> LockState(FileSystem& fs, const std::string& path, uint32_t caller);

// Reads a state file; nothing if there is none. The file must have been written by
// SaveState() with the same key (empty: none), be owned by `caller`, and not be
// writable by others. Otherwise kCannotCheck, and the message says what to do.
Result<std::optional<Checkpoint>> LoadState(FileSystem& fs, const std::string& path,
                                            std::string_view key, uint32_t caller);
// Writes it durably with mode 0600. After a crash the file is the old or the new one.
Status SaveState(FileSystem& fs, const std::string& path, std::string_view key,
                 const Checkpoint& checkpoint);

// kCannotCheck: "<file>: <why>; remove the file and verify from the beginning", and
// what to do if that is impossible.
Error StateRefused(Cause cause, const std::string& path, const std::string& why);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_CHECKPOINT_H_
