// SPDX-License-Identifier: GPL-2.0-or-later
#include <poll.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <mutex>

#include "cli/commands.h"
#include "view/view_server.h"

namespace imasnap::cli {
namespace {

// Blocks the signals that end the program, here and in threads that are started later,
// and reads them from a descriptor.
class EndSignals {
 public:
  EndSignals() {
    sigemptyset(&set_);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
      sigaddset(&set_, number);
    }
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
    fd_ = ::signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;
  ~EndSignals() {
    // A pending signal would end the program once it is unblocked.
    signalfd_siginfo taken{};
    while (fd_ >= 0 && ::read(fd_, &taken, sizeof(taken)) > 0) {
    }
    if (fd_ >= 0) {
      ::close(fd_);
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  int fd() const { return fd_; }
  bool came() const {
    pollfd event{fd_, POLLIN, 0};
    return ::poll(&event, 1, 0) > 0;
  }

 private:
  sigset_t set_{};
  sigset_t before_{};
  int fd_ = -1;
};

}  // namespace

Result<int> MountCommand(const Context& context, const MountArguments& arguments) {
  const EndSignals signals;
  if (signals.fd() < 0) {
    return SystemError("signals", "signalfd", errno);
  }
  std::mutex mutex;
  ViewOptions options;
  options.report = [&](const Error& error) {
    const std::lock_guard<std::mutex> lock(mutex);
    context.DiagnoseError(error);
    context.host.err.flush();
  };
  // A long log takes a while to read.
  Environment env = context.env;
  env.on_progress = [&](uint64_t records) {
    return !signals.came() && (!context.env.on_progress || context.env.on_progress(records));
  };
  auto mounted = ViewServer::Mount(env, arguments.directory, options);
  if (!mounted.ok()) {
    return signals.came() ? Result<int>(kExitOk) : std::move(mounted.error());
  }
  const std::unique_ptr<ViewServer> server = std::move(*mounted);
  sd_notify(0, "READY=1");
  std::array<pollfd, 2> events{{{signals.fd(), POLLIN, 0}, {server->done_fd(), POLLIN, 0}}};
  while (::poll(events.data(), events.size(), -1) < 0) {
    if (errno != EINTR) {
      return SystemError("signals", "poll", errno);
    }
  }
  sd_notify(0, "STOPPING=1");
  return kExitOk;
}

}  // namespace imasnap::cli
