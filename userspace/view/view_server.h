// SPDX-License-Identifier: GPL-2.0-or-later
//
// Serves the whole log since cold boot as a FUSE file system whose files have
// the names of those in /sys/kernel/security/ima.
#ifndef IMASNAP_VIEW_VIEW_SERVER_H_
#define IMASNAP_VIEW_VIEW_SERVER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "store/environment.h"

namespace imasnap {

struct ViewOptions {
  // Called with one sentence for each event: why a reader got EIO, or that a stale
  // mount was replaced. The server's threads call it.
  std::function<void(const Error&)> report{};
  // How long a reader at the end of the log waits for the lock before EIO.
  std::chrono::milliseconds lock_patience{10'000};
};

class ViewServer {
 public:
  // Reads the log once and mounts the view on `directory`, which must exist. Replaces a
  // view there whose process died. Returns when the view can be read; other threads
  // serve it. `env.fs` must outlive the server; `env.on_progress` is only called during
  // Mount().
  //
  // Refused: a log whose beginning is missing, or that has a gap (kMismatch); a path
  // that is not a directory, or on which something is mounted.
  static Result<std::unique_ptr<ViewServer>> Mount(const Environment& env,
                                                   const std::string& directory,
                                                   ViewOptions options = {});
  ViewServer(const ViewServer&) = delete;
  ViewServer& operator=(const ViewServer&) = delete;
  // Unmounts; readers that have a file open get ENOTCONN.
  ~ViewServer();

  // False once it was unmounted.
  bool alive() const;
  // Readable (poll(2)) from then on.
  int done_fd() const;

 private:
  class Impl;
  explicit ViewServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace imasnap

#endif  // IMASNAP_VIEW_VIEW_SERVER_H_
