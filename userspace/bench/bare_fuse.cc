// SPDX-License-Identifier: GPL-2.0-or-later
//
// bare_fuse FILE DIRECTORY: a FUSE file system of one file, "file", whose bytes are
// those of FILE, in memory. It answers a read with them and does nothing else, past
// the page cache as the view must (view/view_server.cc): what reading it costs
// is what FUSE costs. It ends when unmounted or by SIGTERM.
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>

namespace {

constexpr fuse_ino_t kFile = FUSE_ROOT_ID + 1;
constexpr double kForEver = 86400;

std::span<const char> Bytes(fuse_req_t request) {
  return *static_cast<const std::span<const char>*>(fuse_req_userdata(request));
}

struct stat AttributesOf(fuse_req_t request, fuse_ino_t inode) {
  struct stat st {};
  st.st_ino = inode;
  st.st_nlink = 1;
  st.st_mode = inode == kFile ? S_IFREG | 0400U : S_IFDIR | 0500U;
  st.st_size = inode == kFile ? static_cast<off_t>(Bytes(request).size()) : 0;
  return st;
}

void OnLookup(fuse_req_t request, fuse_ino_t /*parent*/, const char* name) {
  if (std::strcmp(name, "file") != 0) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = kFile;
  entry.attr = AttributesOf(request, kFile);
  entry.attr_timeout = entry.entry_timeout = kForEver;
  fuse_reply_entry(request, &entry);
}

void OnGetAttr(fuse_req_t request, fuse_ino_t inode, fuse_file_info* /*info*/) {
  const struct stat st = AttributesOf(request, inode);
  fuse_reply_attr(request, &st, kForEver);
}

void OnOpen(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* info) {
  info->direct_io = 1;
  info->noflush = 1;
  fuse_reply_open(request, info);
}

void OnRead(fuse_req_t request, fuse_ino_t /*inode*/, size_t size, off_t offset,
            fuse_file_info* /*info*/) {
  const std::span<const char> bytes = Bytes(request);
  const std::span<const char> rest =
      bytes.subspan(std::min(static_cast<size_t>(offset), bytes.size()));
  fuse_reply_buf(request, rest.data(), std::min(size, rest.size()));
}

int Fail(const char* what) {
  static_cast<void>(std::fprintf(stderr, "bare_fuse: %s: %s\n", what, std::strerror(errno)));
  return 1;
}

int Serve(std::span<const char> bytes, const char* directory) {
  fuse_lowlevel_ops ops{};
  ops.lookup = OnLookup;
  ops.getattr = OnGetAttr;
  ops.open = OnOpen;
  ops.read = OnRead;
  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
  fuse_session* session = nullptr;
  if (fuse_opt_add_arg(&args, "bare_fuse") == 0 && fuse_opt_add_arg(&args, "-oro") == 0) {
    session = fuse_session_new(&args, &ops, sizeof(ops), &bytes);
  }
  fuse_opt_free_args(&args);
  if (session == nullptr) {
    return 1;  // libfuse said why
  }
  int status = 1;
  if (fuse_set_signal_handlers(session) == 0) {
    if (fuse_session_mount(session, directory) == 0) {
      status = fuse_session_loop(session) >= 0 ? 0 : 1;  // which gives a signal's number
      fuse_session_unmount(session);
    }
    fuse_remove_signal_handlers(session);
  }
  fuse_session_destroy(session);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    static_cast<void>(std::fprintf(stderr, "usage: bare_fuse FILE DIRECTORY\n"));
    return 2;
  }
  const int fd = ::open(argv[1], O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || ::fstat(fd, &st) != 0) {
    return Fail(argv[1]);
  }
  const auto size = static_cast<size_t>(st.st_size);
  void* const at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (at == MAP_FAILED) {
    return Fail(argv[1]);
  }
  return Serve({static_cast<const char*>(at), size}, argv[2]);
}
