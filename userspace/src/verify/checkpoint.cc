// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

namespace imasnap {
namespace {

using Json = nlohmann::ordered_json;

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

Json ToJson(const Checkpoint::BankState& state) {
  Json pcrs = Json::object();
  for (const auto& [pcr, value] : state.pcrs) {
    pcrs[std::to_string(pcr)] = value.Hex();
  }
  return {{"bank", std::string(HashName(state.bank.alg))},
          {"padded_sha1", state.bank.padded_sha1},
          {"unmapped", state.bank.unmapped},
          {"pcrs", std::move(pcrs)}};
}

// Digests are empty where there is none; FormatCheckpoint() of the result shows
// what was not hex at all.
Digest ToDigest(const Json& json) {
  const auto bytes = FromHex(json.get_ref<const std::string&>());
  return bytes && bytes->size() <= kMaxDigestSize ? Digest::From(*bytes) : Digest();
}

// These throw what nlohmann-json throws over a wrong type; false where a value
// makes no sense. Its get() would convert a number of any other type.
uint64_t ToNumber(const Json& json) { return json.get_ref<const Json::number_unsigned_t&>(); }

bool FromJson(const Json& json, uint32_t* out) {
  const uint64_t number = ToNumber(json);
  *out = static_cast<uint32_t>(number);
  return number == *out;
}

bool FromJson(const Json& json, Checkpoint::BankState* state) {
  const auto alg = HashFromName(json.at("bank").get_ref<const std::string&>());
  if (!alg) {
    return false;
  }
  state->bank = {.alg = *alg,
                 .padded_sha1 = json.at("padded_sha1").get<bool>(),
                 .unmapped = json.at("unmapped").get<bool>()};
  for (const auto& [name, value] : json.at("pcrs").items()) {
    const auto pcr = ParseDecimal(name);
    const Digest digest = ToDigest(value);
    if (!pcr || *pcr >= kMaxPcr || digest.size != DigestSize(*alg)) {
      return false;
    }
    state->pcrs.emplace(static_cast<uint32_t>(*pcr), digest);
  }
  return true;
}

bool IsSha256OrEmpty(const Digest& digest) {
  return digest.size == 0 || digest.size == DigestSize(HashAlg::kSha256);
}

bool FromJson(const Json& json, Checkpoint* out) {
  const Json& log = json.at("log");
  out->identity.machine = log.at("machine").get<std::string>();
  out->identity.boot = log.at("boot").get<std::string>();
  out->identity.created = log.at("created").get<std::string>();
  if (const Json& count = log.at("tpm_reset_count");
      !count.is_null() && !FromJson(count, &out->identity.reset_count.emplace())) {
    return false;
  }
  out->first_record = ToDigest(log.at("first_record"));
  out->records = ToNumber(json.at("records"));
  out->segment = ToNumber(json.at("segment"));
  out->segment_sha256 = ToDigest(json.at("segment_sha256"));
  out->aggregates = ToNumber(json.at("aggregates"));
  out->violations = ToNumber(json.at("violations"));
  out->attempt = ToNumber(json.at("attempt"));
  out->aggregate = ToDigest(json.at("aggregate"));
  for (const Json& bank : json.at("banks")) {
    if (!FromJson(bank, &out->banks.emplace_back())) {
      return false;
    }
  }
  for (const auto& [name, quote] : json.at("quotes").items()) {
    auto& seen = out->quotes[name];
    if (!FromJson(quote.at("reset_count"), &seen.reset_count) ||
        !FromJson(quote.at("restart_count"), &seen.restart_count)) {
      return false;
    }
    seen.clock = ToNumber(quote.at("clock"));
  }
  return IsSha256OrEmpty(out->first_record) && IsSha256OrEmpty(out->segment_sha256) &&
         IsSha256OrEmpty(out->aggregate);
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

Result<std::string> ReadOwn(FileSystem& fs, const std::string& path, uint32_t caller,
                            uint32_t forbidden, size_t limit) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, fs.OpenFile(path, OpenMode::kRead));
  IMASNAP_ASSIGN(const FileInfo info, file->Stat());
  if (info.type != FileType::kRegular) {
    return FileError(ErrorCode::kCannotCheck, path, "is not a regular file");
  }
  if (info.owner != caller || (info.mode & forbidden) != 0) {
    return FileError(ErrorCode::kCannotCheck, path,
                     fmt::format("is owned by user {} with mode {:04o}; it must be owned by user "
                                 "{} and not be {} by others: if none of them was at it, chown or "
                                 "chmod it",
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
    return StateRefused(path, "is truncated or not a state file");
  }
  const std::string_view body = text.substr(0, end + 1);
  const std::string_view seal = text.substr(end + 1);
  const std::string expected = SealOf(body, key);
  if (seal == expected) {
    return body;
  }
  if (!key.empty() && seal.starts_with("sha256 ")) {
    return StateRefused(path, "was written without a key");
  }
  if (key.empty() && seal.starts_with("hmac-sha256 ")) {
    return StateRefused(path, "was written with a key: give it with --state-key, or");
  }
  return StateRefused(path, key.empty() ? "is damaged: its bytes do not have the digest in it"
                                        : "is damaged, forged, or was written with another key");
}

}  // namespace

LogIdentity IdentityOf(const SessionInfo& info) {
  return {.machine = info.machine,
          .boot = info.boot,
          .created = info.created,
          .reset_count = info.reset_count};
}

Error StateRefused(const std::string& path, const std::string& why) {
  return FileError(ErrorCode::kCannotCheck, path,
                   why + (why.ends_with(" or") ? " " : "; ") +
                       "remove the file and verify from the beginning (where segments were "
                       "discarded that cannot be done: restore a copy of the state)");
}

std::string FormatCheckpoint(const Checkpoint& checkpoint) {
  Json json;
  json["format"] = kCheckpointFormat;
  const LogIdentity& identity = checkpoint.identity;
  json["log"] = {
      {"machine", identity.machine},
      {"boot", identity.boot},
      {"created", identity.created},
      {"tpm_reset_count", identity.reset_count ? Json(*identity.reset_count) : Json(nullptr)},
      {"first_record", checkpoint.first_record.Hex()}};
  json["records"] = checkpoint.records;
  json["segment"] = checkpoint.segment;
  json["segment_sha256"] = checkpoint.segment_sha256.Hex();
  json["aggregates"] = checkpoint.aggregates;
  json["violations"] = checkpoint.violations;
  json["attempt"] = checkpoint.attempt;
  json["aggregate"] = checkpoint.aggregate.Hex();
  json["banks"] = Json::array();
  for (const Checkpoint::BankState& state : checkpoint.banks) {
    json["banks"].push_back(ToJson(state));
  }
  json["quotes"] = Json::object();
  for (const auto& [name, quote] : checkpoint.quotes) {
    json["quotes"][name] = {{"reset_count", quote.reset_count},
                            {"restart_count", quote.restart_count},
                            {"clock", quote.clock}};
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Checkpoint> ParseCheckpoint(std::string_view text, const std::string& file) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return FileError(ErrorCode::kMalformed, file, "is not a JSON object");
  }
  if (const auto format = json.find("format");
      format == json.end() || *format != kCheckpointFormat) {
    return FileError(ErrorCode::kMalformed, file,
                     fmt::format("is not of format {}", kCheckpointFormat));
  }
  Checkpoint checkpoint;
  try {  // nlohmann-json reports wrong types by exception
    // That it reads back as the same text leaves room for nothing else in it.
    if (FromJson(json, &checkpoint) && IsConsistent(checkpoint) &&
        FormatCheckpoint(checkpoint) == text) {
      return checkpoint;
    }
  } catch (const Json::exception& problem) {
    return FileError(ErrorCode::kMalformed, file, problem.what());
  }
  return FileError(ErrorCode::kMalformed, file, "is not in the form in which a state is written");
}

Result<std::string> LoadStateKey(FileSystem& fs, const std::string& path, uint32_t caller) {
  auto read = ReadOwn(fs, path, caller, 077, kMaxKey);
  if (!read.ok() && read.error().code == ErrorCode::kMalformed) {
    read.error().code = ErrorCode::kCannotCheck;
  }
  IMASNAP_ASSIGN(std::string key, std::move(read));
  if (key.size() < kMinKey) {
    return FileError(ErrorCode::kCannotCheck, path,
                     fmt::format("has {} bytes; a key has {} to {}", key.size(), kMinKey, kMaxKey));
  }
  return key;
}

Result<std::unique_ptr<File>> LockState(FileSystem& fs, const std::string& path, uint32_t caller) {
  const auto state = fs.Stat(path);
  if (state.ok() && state->type == FileType::kSymlink) {
    return FileError(ErrorCode::kCannotCheck, path,
                     "is a symbolic link, whose place a state would take; name the file itself");
  }
  if (state.ok() && state->type != FileType::kRegular) {
    return FileError(ErrorCode::kCannotCheck, path, "is not a regular file; name another");
  }
  IMASNAP_ASSIGN(std::unique_ptr<File> lock, OpenStateLock(fs, path + ".lock"));
  if (!lock) {
    return lock;
  }
  IMASNAP_ASSIGN(const FileInfo info, lock->Stat());
  if (info.type != FileType::kRegular || info.owner != caller) {
    return FileError(ErrorCode::kCannotCheck, lock->path(),
                     fmt::format("the lock of a state must be a file of user {}, who verifies; "
                                 "remove it",
                                 caller));
  }
  Status locked = lock->TryLock(LockMode::kExclusive);
  if (!locked.ok() && locked.error().code == ErrorCode::kLocked) {
    locked.error().message = "another process works with this state; try again later";
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
    return text.error().code == ErrorCode::kMalformed ? StateRefused(path, text.error().message)
                                                      : text.error();
  }
  IMASNAP_ASSIGN(const std::string_view body, Unseal(*text, key, path));
  auto checkpoint = ParseCheckpoint(body, path);
  if (!checkpoint.ok()) {
    return StateRefused(path, checkpoint.error().message);
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
