// SPDX-License-Identifier: GPL-2.0-or-later
//
// The state of a verifier that goes on where it ended (RFC v2, section D.4.b):
// how far the log was verified, and the PCRs there.
//
// The file has two lines, in this form and no other:
//
//   <the checkpoint as JSON>
//   sha256 <hex>              or: hmac-sha256 <hex>
//
// The digest is over the first line with its newline. Without a key it shows
// damage and no more: whoever may write the file can make it anew. With a key it
// shows forgery by who does not know the key.
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

// Whose log it is. What is empty is not known, and then says nothing.
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

// The boundary lies after record `records`, which is the last one of segment
// `segment`, and before the aggregate that closed that segment. With 0 records
// it is the beginning of the log.
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
  // Of the aggregate at the boundary; 0 and empty with 0 records, and where
  // segments are not closed by aggregates (the staging backend).
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

// The bytes of a key file. Refused: one that is not `caller`'s alone, and one of
// less than 16 or more than 4096 bytes.
Result<std::string> LoadStateKey(FileSystem& fs, const std::string& path, uint32_t caller);

// Takes <path>.lock, exclusive: from LoadState() to SaveState() it keeps others with
// the same state from writing what this one does not know. kLocked; kCannotCheck for
// a `path` that is something else than a file, and for a lock file that is not
// `caller`'s. Null where no file can be made, which keeps SaveState() out, too.
Result<std::unique_ptr<File>> LockState(FileSystem& fs, const std::string& path, uint32_t caller);

// Reads a state file; nothing when there is none. Any other file than one that
// SaveState() wrote with the same key (none: empty), of `caller` and writable by
// no other, is kCannotCheck, with what to do.
Result<std::optional<Checkpoint>> LoadState(FileSystem& fs, const std::string& path,
                                            std::string_view key, uint32_t caller);
// Writes it durably, mode 0600: after a crash the file is the old one or this.
Status SaveState(FileSystem& fs, const std::string& path, std::string_view key,
                 const Checkpoint& checkpoint);

// "<file>: <why>; remove the file and verify from the beginning", and where that
// cannot be done; kCannotCheck.
Error StateRefused(const std::string& path, const std::string& why);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_CHECKPOINT_H_
