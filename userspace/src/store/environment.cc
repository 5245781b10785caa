// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/environment.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>

namespace imasnap {
namespace {

constexpr int kLockTries = 40;
constexpr std::chrono::milliseconds kLockPause{250};

// Anyone who can open the file can block snapshots, and its owner can let others open
// it.
Status CheckOwner(const Environment& env, File* file, bool made) {
  IMASNAP_ASSIGN(const FileInfo info, file->Stat());
  if (info.type == FileType::kRegular && info.owner == env.owner) {
    return {};
  }
  if (made) {
    // Otherwise the owner's next snapshot would find it.
    IMASNAP_RETURN_IF_ERROR(env.fs.Unlink(file->path()));
  }
  Error error = FileError(
      ErrorCode::kFailed,
      info.type != FileType::kRegular ? Cause::kNotRegularFile : Cause::kWrongOwner, file->path(),
      info.type != FileType::kRegular ? "the lock file is not a regular file; remove it"
      : made ? fmt::format("does not exist yet, and only user {} may create it", env.owner)
             : fmt::format("the lock file is owned by user {}, who could block every snapshot; "
                           "only user {} may own it: remove it",
                           info.owner, env.owner));
  error.expected = std::to_string(env.owner);
  error.found = made ? "" : std::to_string(info.owner);
  return error;
}

}  // namespace

Result<std::unique_ptr<File>> AcquireLock(const Environment& env, LockMode mode) {
  const std::string& path = env.config.lock_file;
  // Opened without O_CREAT first: in a sticky directory fs.protected_regular
  // refuses that to all but the owner of the file.
  auto file = env.fs.OpenFile(path, OpenMode::kExistingLock);
  const bool made = !file.ok() && file.error().errno_value == ENOENT;
  if (made) {
    IMASNAP_RETURN_IF_ERROR(env.fs.MakeDirectories(ParentDirectory(path)));
    file = env.fs.OpenFile(path, OpenMode::kLockFile);
  }
  if (!file.ok()) {
    return file;
  }
  IMASNAP_RETURN_IF_ERROR(CheckOwner(env, file->get(), made));
  IMASNAP_RETURN_IF_ERROR((*file)->TryLock(mode));
  return file;
}

Result<std::unique_ptr<File>> AcquireLockPatiently(const Environment& env, LockMode mode) {
  for (int tries = 1;; ++tries) {
    auto lock = AcquireLock(env, mode);
    if (lock.ok() || lock.error().code != ErrorCode::kLocked || tries == kLockTries) {
      return lock;
    }
    env.pause(kLockPause);
  }
}

}  // namespace imasnap
