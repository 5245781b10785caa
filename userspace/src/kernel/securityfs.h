// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reaches the kernel's files even if something is mounted over them. The view can be
// bound over files of securityfs; the program that serves it, and snapshots, still need
// the files underneath.
#ifndef IMASNAP_KERNEL_SECURITYFS_H_
#define IMASNAP_KERNEL_SECURITYFS_H_

#include <string>

#include "base/result.h"

namespace imasnap {

class SecurityFs {
 public:
  enum class When {
    kOvermounted,  // only if something is mounted over a measurement list now
    kAlways,       // when `path` is a mounted securityfs at all: it may be later
  };

  // `path` is where securityfs is mounted, or a directory like it. Fails if
  // something is mounted over the files and they cannot be reached below it (that
  // takes CAP_SYS_ADMIN).
  static Result<SecurityFs> Open(const std::string& path, When when);
  SecurityFs(SecurityFs&& other) noexcept;
  SecurityFs(const SecurityFs&) = delete;
  SecurityFs& operator=(const SecurityFs&) = delete;
  SecurityFs& operator=(SecurityFs&&) = delete;
  ~SecurityFs();

  // The directory of the kernel's own files, valid as long as this object.
  const std::string& path() const { return path_; }

 private:
  SecurityFs(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  std::string path_;
  int fd_;
};

}  // namespace imasnap

#endif  // IMASNAP_KERNEL_SECURITYFS_H_
