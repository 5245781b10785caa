// SPDX-License-Identifier: GPL-2.0-or-later
//
// One mounted FUSE file system and the threads that serve it.
#ifndef IMASNAP_VIEW_FUSE_SESSION_H_
#define IMASNAP_VIEW_FUSE_SESSION_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"

struct fuse_lowlevel_ops;
struct fuse_session;

namespace imasnap {

class UniqueFd {
 public:
  explicit UniqueFd(int fd = -1) : fd_(fd) {}
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd();
  int get() const { return fd_; }
  void reset(int fd);

 private:
  int fd_;
};

// Checks that `directory` exists, is a directory, and has no FUSE file system mounted
// on it. One whose process is gone is unmounted and reported to `log`. Returns the path
// without links.
Result<std::string> PrepareMountPoint(const std::string& directory,
                                      const std::function<void(const Error&)>& report);

class FuseSession {
 public:
  // Mounts on `directory` (from PrepareMountPoint()). `ops` are called with
  // `userdata` by several threads at once, from Serve() on.
  static Result<std::unique_ptr<FuseSession>> Mount(const std::string& directory,
                                                    const fuse_lowlevel_ops& ops, void* userdata);
  FuseSession(const FuseSession&) = delete;
  FuseSession& operator=(const FuseSession&) = delete;
  ~FuseSession();  // like Unmount(), if that was not called

  void Serve();
  // Unmounts and ends the threads. Requests that were not answered can still be, until
  // the session is destroyed.
  void Unmount();

  bool alive() const { return alive_; }
  // Readable once it is no longer served.
  int done_fd() const { return done_.get(); }
  fuse_session* get() const { return session_.get(); }

 private:
  struct Destroyer {
    void operator()(fuse_session* session) const;
  };
  FuseSession() = default;
  void Work();
  bool WaitForRequest(int epoll);
  bool IsOurs() const;

  std::unique_ptr<fuse_session, Destroyer> session_;
  std::string directory_;
  std::optional<uint64_t> mount_id_;
  UniqueFd stop_;
  UniqueFd done_;
  std::atomic<bool> alive_{true};
  std::vector<std::thread> threads_;
  bool unmounted_ = false;
};

}  // namespace imasnap

#endif  // IMASNAP_VIEW_FUSE_SESSION_H_
