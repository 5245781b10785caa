// SPDX-License-Identifier: GPL-2.0-or-later
//
// The kernel's files where something is mounted over them. The view is made to
// be bound over files of securityfs; what serves it, and what takes snapshots,
// must still reach those underneath.
#ifndef IMASNAP_KERNEL_SECURITYFS_H_
#define IMASNAP_KERNEL_SECURITYFS_H_

#include <string>

#include "base/result.h"

namespace imasnap {

class SecurityFs {
 public:
  enum class When {
    kCovered,  // only when a measurement list is covered now
    kAlways,   // when `path` is a mounted securityfs at all: it may be later
  };

  // `path` is where securityfs is mounted, or a directory like it. Fails when
  // the files are covered and cannot be uncovered (that takes CAP_SYS_ADMIN).
  static Result<SecurityFs> Open(const std::string& path, When when);
  SecurityFs(SecurityFs&& other) noexcept;
  SecurityFs(const SecurityFs&) = delete;
  SecurityFs& operator=(const SecurityFs&) = delete;
  SecurityFs& operator=(SecurityFs&&) = delete;
  ~SecurityFs();

  // Where the kernel's own files are, as long as this lives.
  const std::string& path() const { return path_; }

 private:
  SecurityFs(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  std::string path_;
  int fd_;
};

}  // namespace imasnap

#endif  // IMASNAP_KERNEL_SECURITYFS_H_
