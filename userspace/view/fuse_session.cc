// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/fuse_session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fuse_lowlevel.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>

namespace imasnap {
namespace {

constexpr unsigned kMinThreads = 4;
constexpr unsigned kMaxThreads = 16;

// The last message of libfuse, which reports reasons only in its log.
std::mutex last_message_mutex;
std::string last_message;

void KeepMessage(fuse_log_level /*level*/, const char* format, va_list arguments) {
  std::array<char, 512> text{};
  static_cast<void>(std::vsnprintf(text.data(), text.size(), format, arguments));
  const std::lock_guard<std::mutex> lock(last_message_mutex);
  last_message = text.data();
  if (last_message.ends_with('\n')) {
    last_message.pop_back();
  }
}

std::string LastMessage() {
  const std::lock_guard<std::mutex> lock(last_message_mutex);
  return last_message;
}

void Signal(const UniqueFd& event) {
  const uint64_t one = 1;
  // Fails only if the counter is full, and then it is readable as well.
  static_cast<void>(::write(event.get(), &one, sizeof(one)));
}

struct SessionArguments {
  SessionArguments() { failed = fuse_opt_add_arg(&args, "ima-snapshot") != 0; }
  SessionArguments(const SessionArguments&) = delete;
  SessionArguments& operator=(const SessionArguments&) = delete;
  ~SessionArguments() { fuse_opt_free_args(&args); }

  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
  bool failed = false;
};

// Mounts on `directory`, and returns the descriptor from which the session takes its
// requests. libfuse would also run mount(8) to write /etc/mtab, in the builds of some
// distributions even if that is a link to /proc. The sandbox of the unit forbids that.
Result<int> MountFuse(const std::string& directory) {
  // Several threads take requests. A thread that finds none left must not sleep in
  // read(2), because nothing could end that.
  const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return SystemError("/dev/fuse", "open", errno);
  }
  const std::string options =
      fmt::format("fd={},rootmode={:o},user_id={},group_id={},allow_other,default_permissions", fd,
                  S_IFDIR, ::geteuid(), ::getegid());
  if (::mount("ima-snapshot", directory.c_str(), "fuse.ima-snapshot",
              MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()) != 0) {
    const int why = errno;
    ::close(fd);
    return SystemError(directory, "mount (FUSE needs root)", why);
  }
  return fd;
}

bool IsMountPoint(const std::string& directory, const struct stat& st) {
  struct stat parent;
  return ::stat((directory + "/..").c_str(), &parent) == 0 && parent.st_dev != st.st_dev;
}

// The mount at the path, found without asking its file system; nothing without one.
std::optional<uint64_t> MountId(const std::string& path) {
  struct statx st;
  if (::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) != 0 ||
      (st.stx_mask & STATX_MNT_ID) == 0) {
    return std::nullopt;
  }
  return st.stx_mnt_id;
}

}  // namespace

UniqueFd::~UniqueFd() { reset(-1); }

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) {
    ::close(fd_);
  }
  fd_ = fd;
}

Result<std::string> PrepareMountPoint(const std::string& directory,
                                      const std::function<void(const Error&)>& report) {
  // statfs(2) asks the file system; stat(2) may return a cached answer.
  struct statfs fs;
  int result = ::statfs(directory.c_str(), &fs);
  if (result != 0 && errno == ENOTCONN) {
    if (::umount2(directory.c_str(), MNT_DETACH) != 0) {
      return SystemError(directory, "umount of a view whose process is gone", errno);
    }
    report(FileError(ErrorCode::kFailed, Cause::kViewReplaced, directory,
                     "unmounted a view whose process is gone"));
    result = ::statfs(directory.c_str(), &fs);
  }
  struct stat st;
  if (result != 0 || ::stat(directory.c_str(), &st) != 0) {
    return SystemError(directory, "stat", errno);
  }
  if (!S_ISDIR(st.st_mode)) {
    return FileError(ErrorCode::kUsage, Cause::kNotDirectory, directory, "is not a directory");
  }
  if (fs.f_type == FUSE_SUPER_MAGIC && IsMountPoint(directory, st)) {
    return FileError(ErrorCode::kUsage, Cause::kViewMounted, directory,
                     "something is mounted here already; unmount it first");
  }
  std::error_code error;
  std::string path = std::filesystem::canonical(directory, error);
  if (error) {
    return SystemError(directory, "realpath", error.value());
  }
  return path;
}

void FuseSession::Destroyer::operator()(fuse_session* session) const {
  fuse_session_destroy(session);
}

Result<std::unique_ptr<FuseSession>> FuseSession::Mount(const std::string& directory,
                                                        const fuse_lowlevel_ops& ops,
                                                        void* userdata) {
  fuse_set_log_func(KeepMessage);
  SessionArguments arguments;
  std::unique_ptr<FuseSession> session(new FuseSession());
  session->directory_ = directory;
  session->stop_.reset(::eventfd(0, EFD_CLOEXEC));
  session->done_.reset(::eventfd(0, EFD_CLOEXEC));
  if (arguments.failed || session->stop_.get() < 0 || session->done_.get() < 0) {
    return SystemError(directory, "eventfd", errno);
  }
  session->session_.reset(fuse_session_new(&arguments.args, &ops, sizeof(ops), userdata));
  if (!session->session_) {
    return FileError(ErrorCode::kFailed, directory, "libfuse: " + LastMessage());
  }
  const auto fd = MountFuse(directory);
  if (!fd.ok()) {
    session->unmounted_ = true;
    return fd.error();
  }
  session->mount_id_ = MountId(directory);
  // The session closes the descriptor. It fails only if there is no such descriptor.
  if (fuse_session_mount(session->get(), fmt::format("/dev/fd/{}", *fd).c_str()) != 0) {
    return FileError(ErrorCode::kFailed, directory, "libfuse: " + LastMessage());
  }
  return session;
}

FuseSession::~FuseSession() { Unmount(); }

void FuseSession::Serve() {
  const unsigned count =
      std::clamp(2 * std::thread::hardware_concurrency(), kMinThreads, kMaxThreads);
  for (unsigned i = 0; i < count; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

void FuseSession::Unmount() {
  if (unmounted_ || !session_) {
    return;
  }
  unmounted_ = true;
  alive_ = false;  // a thread that always finds a request does not wait for stop_
  if (IsOurs()) {
    static_cast<void>(::umount2(directory_.c_str(), MNT_DETACH));
  }
  Signal(stop_);
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

// Whether the mount at the directory is that of this session. Something else that was
// mounted there since must not be unmounted.
bool FuseSession::IsOurs() const {
  pollfd connection{fuse_session_fd(get()), POLLIN, 0};
  const bool connected = ::poll(&connection, 1, 0) >= 0 && (connection.revents & POLLERR) == 0;
  if (connected) {
    return MountId(directory_) == mount_id_;
  }
  // Then the mount is gone and another may have its number, or it was aborted.
  struct stat st;
  return ::stat(directory_.c_str(), &st) != 0 && errno == ENOTCONN;
}

bool FuseSession::WaitForRequest(int epoll) {
  std::array<epoll_event, 2> events;
  const int count = ::epoll_wait(epoll, events.data(), events.size(), -1);
  for (int i = 0; i < count; ++i) {
    if (events[static_cast<size_t>(i)].data.fd == stop_.get()) {
      return false;
    }
  }
  return count >= 0 || errno == EINTR;
}

void FuseSession::Work() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event requests{};
  requests.events = EPOLLIN | EPOLLEXCLUSIVE;  // a request wakes one thread
  requests.data.fd = fuse_session_fd(get());
  epoll_event stop{};
  stop.events = EPOLLIN;
  stop.data.fd = stop_.get();
  bool go = ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, requests.data.fd, &requests) == 0 &&
            ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, stop.data.fd, &stop) == 0;
  fuse_buf buffer{};
  while (go && alive_ && fuse_session_exited(get()) == 0) {
    const int got = fuse_session_receive_buf(get(), &buffer);
    if (got > 0) {
      fuse_session_process_buf(get(), &buffer);
    } else if (got == -EAGAIN) {
      go = WaitForRequest(epoll.get());
    } else {
      go = got == -EINTR;
    }
  }
  std::free(buffer.mem);  // allocated by libfuse
  alive_ = false;
  Signal(stop_);
  Signal(done_);
}

}  // namespace imasnap
