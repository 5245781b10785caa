// SPDX-License-Identifier: GPL-2.0-or-later
#include "startup.h"

#include <fmt/format.h>
#include <time.h>

#include "recovery.h"

namespace imasnap::daemon {
namespace {

// TODO: replaced by the library's own.
Status CheckStore(const Environment& env) {
  const std::string& root = env.config.store;
  IMASNAP_ASSIGN(const FileInfo info, env.fs.Stat(root));
  if (info.owner != env.owner || (info.mode & 022) != 0) {
    return FileError(ErrorCode::kFailed, root,
                     fmt::format("the store is owned by user {} with mode {:04o}; only root may "
                                 "own and write it",
                                 info.owner, info.mode));
  }
  IMASNAP_ASSIGN(const FileSystemInfo fs, env.fs.StatFileSystem(root));
  if ((fs.magic == kTmpfsMagic || fs.magic == kRamfsMagic) && !env.config.allow_volatile) {
    return FileError(ErrorCode::kFailed, root, "in memory; set allow_volatile");
  }
  return {};
}

Result<Recovered> RepairStore(const Environment& env, std::vector<std::string>* notes) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> lock, AcquireLock(env, LockMode::kExclusive));
  IMASNAP_RETURN_IF_ERROR(env.store().Create());
  IMASNAP_RETURN_IF_ERROR(CheckStore(env));
  return Recover(env, notes);
}

}  // namespace

Result<Prepared> Prepare(const Environment& env, std::vector<std::string>* notes) {
  IMASNAP_ASSIGN(const BackendChoice choice, env.kernel().ChooseBackend());
  if (choice.backend != Backend::kSnapshot) {
    return MakeError(ErrorCode::kFailed, "no snapshot can be taken: " + choice.why);
  }
  Prepared prepared;
  prepared.backend = choice.backend;
  if (env.config.mode == SnapshotMode::kMark) {
    return prepared;  // no store is used
  }
  IMASNAP_ASSIGN(const Recovered recovered, RepairStore(env, notes));
  if (!recovered.session.segments.empty()) {
    prepared.last = recovered.session.segments.back().info;
  }
  return prepared;
}

bool IsRefusal(const Error& error) {
  return error.code == ErrorCode::kFailed && error.errno_value == 0;
}

std::optional<int64_t> ParseUtc(const std::string& text) {
  struct tm utc {};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  if (end == nullptr || *end != '\0') {
    return std::nullopt;
  }
  return ::timegm(&utc);
}

}  // namespace imasnap::daemon
