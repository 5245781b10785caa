// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/securityfs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace imasnap {
namespace {

// Whether the path is a file of securityfs; false if it does not exist.
bool IsSecurityFs(const std::string& path) {
  struct statfs fs;
  return ::statfs(path.c_str(), &fs) == 0 && fs.f_type == SECURITYFS_MAGIC;
}

bool IsOvermounted(const std::string& path) {
  for (const char* name : {"", "/binary_runtime_measurements", "/ascii_runtime_measurements",
                           "/runtime_measurements_count"}) {
    struct statfs fs;
    const std::string file = path + "/ima" + name;
    // A view whose process died returns an error.
    const bool known = ::statfs(file.c_str(), &fs) == 0;
    if (known ? fs.f_type != SECURITYFS_MAGIC : errno != ENOENT && errno != EACCES) {
      return true;
    }
  }
  return false;
}

}  // namespace

SecurityFs::SecurityFs(SecurityFs&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

SecurityFs::~SecurityFs() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

Result<SecurityFs> SecurityFs::Open(const std::string& path, When when) {
  if (!IsSecurityFs(path)) {
    return SecurityFs(path, -1);
  }
  const bool overmounted = IsOvermounted(path);
  if (!overmounted && when == When::kOvermounted) {
    return SecurityFs(path, -1);
  }
  // A private mount of the same file system, with nothing mounted on it.
  const int fd = ::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0) {
    if (overmounted) {
      Error error =
          SystemError(path, "something is mounted over the kernel's files; open_tree", errno);
      error.cause = Cause::kOvermounted;
      return error;
    }
    return SecurityFs(path, -1);
  }
  return SecurityFs("/proc/self/fd/" + std::to_string(fd), fd);
}

}  // namespace imasnap
