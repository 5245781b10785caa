// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "store/own_json.h"

namespace imasnap {
namespace {

using own_json::Json;
using own_json::OrderedJson;

constexpr size_t kMaxStateSize = 1U << 20;
constexpr size_t kMinKey = 16;
constexpr size_t kMaxKey = 4096;

// The second line of the file, for the first line `body`.
std::string SealOf(std::string_view body, std::string_view key) {
  if (!key.empty()) {
    return fmt::format("hmac-sha256 {}\n", HmacSha256(AsBytes(key), AsBytes(body)).Hex());
  }
  return fmt::format("sha256 {}\n", HashBytes(HashAlg::kSha256, AsBytes(body)).Hex());
}

OrderedJson ToJson(const Checkpoint::BankState& state) {
  return {{"bank", std::string(HashName(state.bank.alg))},
          {"padded_sha1", state.bank.padded_sha1},
          {"unmapped", state.bank.unmapped},
          {"pcrs", own_json::FromPcrs(state.pcrs)}};
}

std::optional<Checkpoint::BankState> ToBankState(const Json& json) {
  const auto alg = HashFromName(own_json::ToText(json.at("bank")));
  auto pcrs = own_json::ToPcrs(json.at("pcrs"), kMaxPcr);
  if (!alg || !pcrs || std::ranges::any_of(*pcrs, [&](const auto& pcr) {
        return pcr.second.size != DigestSize(*alg);
      })) {
    return std::nullopt;
  }
  return Checkpoint::BankState{.bank = {.alg = *alg,
                                        .padded_sha1 = json.at("padded_sha1").get<bool>(),
                                        .unmapped = json.at("unmapped").get<bool>()},
                               .pcrs = std::move(*pcrs)};
}

bool IsSha256OrEmpty(const Digest& digest) {
  return digest.size == 0 || digest.size == DigestSize(HashAlg::kSha256);
}

// Whether the values fit together.
bool IsConsistent(const Checkpoint& c) {
  if (c.records == 0) {
    return c.segment == 0 && c.attempt == 0 && c.aggregates == 0 && c.violations == 0 &&
           c.segment_sha256.size == 0 && c.aggregate.size == 0;
  }
  // Every bank replays the same records, so it has the same PCRs.
  for (const Checkpoint::BankState& state : c.banks) {
    if (state.pcrs.size() != c.banks.front().pcrs.size() ||
        !std::equal(state.pcrs.begin(), state.pcrs.end(), c.banks.front().pcrs.begin(),
                    [](const auto& a, const auto& b) { return a.first == b.first; })) {
      return false;
    }
  }
  return c.segment != 0 && c.segment_sha256.size != 0 && c.first_record.size != 0 &&
         !c.banks.empty() && (c.attempt != 0) == (c.aggregate.size != 0);
}

std::optional<Checkpoint> ToCheckpoint(const Json& json) {
  Checkpoint out;
  const Json& log = json.at("log");
  out.identity.machine = own_json::ToText(log.at("machine"));
  out.identity.boot = own_json::ToText(log.at("boot"));
  out.identity.created = own_json::ToText(log.at("created"));
  if (const auto count = own_json::ToNumberOrNull(log.at("tpm_reset_count"))) {
    out.identity.reset_count = static_cast<uint32_t>(*count);
  }
  out.first_record = own_json::ToDigest(log.at("first_record"));
  out.records = own_json::ToNumber(json.at("records"));
  out.segment = own_json::ToNumber(json.at("segment"));
  out.segment_sha256 = own_json::ToDigest(json.at("segment_sha256"));
  out.aggregates = own_json::ToNumber(json.at("aggregates"));
  out.violations = own_json::ToNumber(json.at("violations"));
  out.attempt = own_json::ToNumber(json.at("attempt"));
  out.aggregate = own_json::ToDigest(json.at("aggregate"));
  for (const Json& bank : json.at("banks")) {
    auto state = ToBankState(bank);
    if (!state) {
      return std::nullopt;
    }
    out.banks.push_back(std::move(*state));
  }
  for (const auto& [name, quote] : json.at("quotes").items()) {
    out.quotes[name] = {
        .reset_count = static_cast<uint32_t>(own_json::ToNumber(quote.at("reset_count"))),
        .restart_count = static_cast<uint32_t>(own_json::ToNumber(quote.at("restart_count"))),
        .clock = own_json::ToNumber(quote.at("clock"))};
  }
  if (!IsSha256OrEmpty(out.first_record) || !IsSha256OrEmpty(out.segment_sha256) ||
      !IsSha256OrEmpty(out.aggregate) || !IsConsistent(out)) {
    return std::nullopt;
  }
  return out;
}

Result<std::string> ReadOwn(FileSystem& fs, const std::string& path, uint32_t caller,
                            uint32_t forbidden, size_t limit) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, fs.OpenFile(path, OpenMode::kRead));
  IMASNAP_ASSIGN(const FileInfo info, file->Stat());
  if (info.type != FileType::kRegular) {
    return FileError(ErrorCode::kCannotCheck, Cause::kNotRegularFile, path,
                     "is not a regular file");
  }
  if (info.owner != caller || (info.mode & forbidden) != 0) {
    return FileError(
        ErrorCode::kCannotCheck, info.owner != caller ? Cause::kWrongOwner : Cause::kWrongMode,
        path,
        fmt::format(
            "is owned by user {} with mode {:04o}; it must be owned by user {} and not be {} by "
            "others. If you are sure that no other user has changed it, run chown or chmod",
            info.owner, info.mode, caller,
            (forbidden & 044) != 0 ? "readable or writable" : "writable"));
  }
  return file->ReadRest(limit);
}

// The lock file, created if it does not exist; nothing if it cannot be created.
Result<std::unique_ptr<File>> OpenStateLock(FileSystem& fs, const std::string& path) {
  auto file = fs.OpenFile(path, OpenMode::kExistingLock);
  if (!file.ok() && file.error().errno_value == ENOENT) {
    file = fs.OpenFile(path, OpenMode::kCreatePrivate);
    if (!file.ok() && file.error().errno_value == EEXIST) {
      return fs.OpenFile(path, OpenMode::kExistingLock);  // another process created it
    }
    if (!file.ok() && (file.error().errno_value == EROFS || file.error().errno_value == EACCES)) {
      return std::unique_ptr<File>();
    }
  }
  return file;
}

// The first line, if the second line is its digest.
Result<std::string_view> Unseal(std::string_view text, std::string_view key,
                                const std::string& path) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) {
    return StateRefused(Cause::kTruncated, path, "is truncated or not a state file");
  }
  const std::string_view body = text.substr(0, end + 1);
  const std::string_view seal = text.substr(end + 1);
  const std::string expected = SealOf(body, key);
  if (seal == expected) {
    return body;
  }
  if (!key.empty() && seal.starts_with("sha256 ")) {
    return StateRefused(Cause::kStateWithoutKey, path, "was written without a key");
  }
  if (key.empty() && seal.starts_with("hmac-sha256 ")) {
    return StateRefused(Cause::kStateWithKey, path,
                        "was written with a key: give it with --state-key, or");
  }
  return key.empty() ? StateRefused(Cause::kStateDamaged, path, "is damaged: its digest is wrong")
                     : StateRefused(Cause::kStateForged, path,
                                    "is damaged, forged, or was written with another key");
}

}  // namespace

LogIdentity IdentityOf(const SessionInfo& info) {
  return {.machine = info.machine,
          .boot = info.boot,
          .created = info.created,
          .reset_count = info.reset_count};
}

Error StateRefused(Cause cause, const std::string& path, const std::string& why) {
  return FileError(ErrorCode::kCannotCheck, cause, path,
                   why + (why.ends_with(" or") ? " " : "; ") +
                       "remove the file and verify from the beginning (if segments were discarded, "
                       "that is impossible: restore a copy of the state instead)");
}

std::string FormatCheckpoint(const Checkpoint& checkpoint) {
  OrderedJson json;
  json["format"] = kCheckpointFormat;
  const LogIdentity& identity = checkpoint.identity;
  json["log"] = {{"machine", identity.machine},
                 {"boot", identity.boot},
                 {"created", identity.created},
                 {"tpm_reset_count", own_json::OrNull(identity.reset_count)},
                 {"first_record", checkpoint.first_record.Hex()}};
  json["records"] = checkpoint.records;
  json["segment"] = checkpoint.segment;
  json["segment_sha256"] = checkpoint.segment_sha256.Hex();
  json["aggregates"] = checkpoint.aggregates;
  json["violations"] = checkpoint.violations;
  json["attempt"] = checkpoint.attempt;
  json["aggregate"] = checkpoint.aggregate.Hex();
  json["banks"] = OrderedJson::array();
  for (const Checkpoint::BankState& state : checkpoint.banks) {
    json["banks"].push_back(ToJson(state));
  }
  json["quotes"] = OrderedJson::object();
  for (const auto& [name, quote] : checkpoint.quotes) {
    json["quotes"][name] = {{"reset_count", quote.reset_count},
                            {"restart_count", quote.restart_count},
                            {"clock", quote.clock}};
  }
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

Result<Checkpoint> ParseCheckpoint(std::string_view text, const std::string& file) {
  return own_json::Read(text, file, kCheckpointFormat, ToCheckpoint, FormatCheckpoint);
}

Result<std::string> LoadStateKey(FileSystem& fs, const std::string& path, uint32_t caller) {
  auto read = ReadOwn(fs, path, caller, 077, kMaxKey);
  if (!read.ok() && read.error().code == ErrorCode::kMalformed) {
    read.error().code = ErrorCode::kCannotCheck;
  }
  IMASNAP_ASSIGN(std::string key, std::move(read));
  if (key.size() < kMinKey) {
    return FileError(ErrorCode::kCannotCheck, Cause::kWrongLength, path,
                     fmt::format("has {} bytes; a key has {} to {}", key.size(), kMinKey, kMaxKey));
  }
  return key;
}

Result<std::unique_ptr<File>> LockState(FileSystem& fs, const std::string& path, uint32_t caller) {
  const auto state = fs.Stat(path);
  if (state.ok() && state->type == FileType::kSymlink) {
    return FileError(ErrorCode::kCannotCheck, Cause::kSymbolicLink, path,
                     "is a symbolic link, which a new state would replace; name the file itself");
  }
  if (state.ok() && state->type != FileType::kRegular) {
    return FileError(ErrorCode::kCannotCheck, Cause::kNotRegularFile, path,
                     "is not a regular file; name another");
  }
  IMASNAP_ASSIGN(std::unique_ptr<File> lock, OpenStateLock(fs, path + ".lock"));
  if (!lock) {
    return lock;
  }
  IMASNAP_ASSIGN(const FileInfo info, lock->Stat());
  if (info.type != FileType::kRegular || info.owner != caller) {
    return FileError(
        ErrorCode::kCannotCheck,
        info.type != FileType::kRegular ? Cause::kNotRegularFile : Cause::kWrongOwner, lock->path(),
        fmt::format("the lock of a state must be a file owned by user {}, who runs this; remove it",
                    caller));
  }
  Status locked = lock->TryLock(LockMode::kExclusive);
  if (!locked.ok() && locked.error().code == ErrorCode::kLocked) {
    locked.error().message = "another process is using this state; try again later";
  }
  IMASNAP_RETURN_IF_ERROR(std::move(locked));
  return lock;
}

Result<std::optional<Checkpoint>> LoadState(FileSystem& fs, const std::string& path,
                                            std::string_view key, uint32_t caller) {
  const auto text = ReadOwn(fs, path, caller, 022, kMaxStateSize);
  if (!text.ok()) {
    if (text.error().errno_value == ENOENT) {
      return std::optional<Checkpoint>();
    }
    return text.error().code == ErrorCode::kMalformed
               ? StateRefused(text.error().cause, path, text.error().message)
               : text.error();
  }
  IMASNAP_ASSIGN(const std::string_view body, Unseal(*text, key, path));
  auto checkpoint = ParseCheckpoint(body, path);
  if (!checkpoint.ok()) {
    return StateRefused(checkpoint.error().cause, path, checkpoint.error().message);
  }
  return std::optional<Checkpoint>(std::move(*checkpoint));
}

Status SaveState(FileSystem& fs, const std::string& path, std::string_view key,
                 const Checkpoint& checkpoint) {
  std::string text = FormatCheckpoint(checkpoint);
  const std::string seal = SealOf(text, key);
  return fs.WriteDurably(path, text + seal, OpenMode::kCreatePrivate);
}

}  // namespace imasnap
