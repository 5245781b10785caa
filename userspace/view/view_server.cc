// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/view_server.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <optional>
#include <vector>

#include "kernel/securityfs.h"
#include "view/fuse_session.h"
#include "view/refresher.h"
#include "view/view_files.h"
#include "view/whole_log.h"

// Readers bypass the kernel's page cache (direct_io). The cache would keep the last
// page of the log, filled up with zeros. If the size grows while a reader copies from
// that page, it would copy those zeros. No order of notifications can prevent that.
//
// Only reads that reach the end wait for a refresh, which runs in the refresher's
// thread. The threads that serve other reads never wait.

namespace imasnap {
namespace {

constexpr fuse_ino_t kFirstFile = FUSE_ROOT_ID + 1;
constexpr double kForEver = 86400;
// How much readers read at once if they ask stat(2), as stdio and cat do. Each read is
// one request, which cannot be larger than this.
constexpr blksize_t kReadSize = blksize_t{1024} * 1024;
constexpr std::chrono::milliseconds kInitInterval{50};

std::string CountText(const Extent& end) { return std::to_string(end.records) + "\n"; }

// Each segment is a file that stays open, and there may be more than the soft limit,
// which is low for programs that use select(2). If a system call filter refuses this,
// the unit sets the limit.
void RaiseFileLimit() {
  struct rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
  }
}

int ErrnoOf(const Error& error) { return error.errno_value != 0 ? error.errno_value : EIO; }

}  // namespace

class ViewServer::Impl {
 public:
  Impl(const Environment& env, ViewOptions options)
      : env_(env), options_(std::move(options)), given_securityfs_(env.securityfs) {
    if (!options_.report) {
      options_.report = [](const Error&) {};
    }
  }
  ~Impl() {
    // Ends the refresher first, because it answers requests of the session.
    if (refresher_) {
      log_->StopWaiting();
      refresher_->Stop();
    }
    if (session_) {
      session_->Unmount();
    }
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status Start(const Environment& env, const std::string& directory);
  const FuseSession& session() const { return *session_; }

 private:
  // What libfuse calls; the userdata of a request is the Impl.
  static Impl& Of(fuse_req_t request) { return *static_cast<Impl*>(fuse_req_userdata(request)); }
  static void OnInit(void* impl, fuse_conn_info* connection);
  static void OnLookup(fuse_req_t request, fuse_ino_t parent, const char* name);
  static void OnGetAttr(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info);
  static void OnOpen(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info);
  static void OnRead(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                     fuse_file_info* info);
  static void OnReadDir(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                        fuse_file_info* info);
  static fuse_lowlevel_ops Operations();

  Status AwaitInit();
  const ViewFile* FileOf(fuse_ino_t inode) const;
  // sendfile(2) reads no more of a file than its size.
  struct stat AttributesOf(fuse_ino_t inode) const;
  Result<std::string> KernelText(const ViewFile& file) const;
  Status Refresh();
  void Announce();
  Error Named(Error error) const;
  void Report(const Error& error);
  void ReadLog(fuse_req_t request, const ViewFile& file, size_t size, uint64_t offset);
  void ReplyLog(fuse_req_t request, const ViewFile& file, size_t size, uint64_t offset);
  void ReplyMapped(fuse_req_t request, const std::vector<ByteView>& mapped);
  void ReadCount(fuse_req_t request, size_t size, uint64_t offset);
  void ReadKernelFile(fuse_req_t request, const ViewFile& file, size_t size, uint64_t offset);

  Environment env_;
  ViewOptions options_;
  const std::string given_securityfs_;
  std::optional<SecurityFs> securityfs_;
  std::unique_ptr<WholeLog> log_;
  std::vector<ViewFile> files_;  // their inodes from kFirstFile on
  uint32_t group_ = 0;

  mutable std::mutex mutex_;
  Extent announced_;      // the size that the kernel was notified of
  time_t changed_ = 0;    // when it was
  std::string reported_;  // the last error, so that it is reported once
  std::condition_variable init_changed_;
  bool init_done_ = false;

  std::unique_ptr<FuseSession> session_;
  std::unique_ptr<Refresher> refresher_;
};

Status ViewServer::Impl::Start(const Environment& env, const std::string& directory) {
  IMASNAP_ASSIGN(const std::string path, PrepareMountPoint(directory, options_.report));
  // What this serves may be bound over the very files that it reads.
  IMASNAP_ASSIGN(SecurityFs securityfs,
                 SecurityFs::Open(env.securityfs, SecurityFs::When::kAlways));
  securityfs_.emplace(std::move(securityfs));
  env_.securityfs = securityfs_->path();
  env_.on_progress = env.on_progress;
  RaiseFileLimit();
  auto log = WholeLog::Open(env_, options_.lock_patience);
  if (!log.ok()) {
    return Named(log.error());
  }
  log_ = std::move(*log);
  env_.on_progress = nullptr;
  IMASNAP_ASSIGN(files_, ListViewFiles(env_, options_.report));
  const auto store = env_.fs.Stat(env_.config.store);
  if (store.ok()) {
    group_ = store->group;
  } else if (store.error().errno_value != ENOENT) {
    return store.error();
  }
  announced_ = log_->index()->end;
  changed_ = std::time(nullptr);
  refresher_ = std::make_unique<Refresher>([this] { return Refresh(); });
  IMASNAP_ASSIGN(session_, FuseSession::Mount(path, Operations(), this));
  session_->Serve();
  return AwaitInit();
}

Status ViewServer::Impl::AwaitInit() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!init_done_ && session_->alive()) {
    init_changed_.wait_for(lock, kInitInterval);
  }
  if (!init_done_) {
    return MakeError(ErrorCode::kFailed, "the view was unmounted before it could be read");
  }
  return {};
}

void ViewServer::Impl::OnInit(void* impl, fuse_conn_info* /*connection*/) {
  Impl& self = *static_cast<Impl*>(impl);
  const std::lock_guard<std::mutex> lock(self.mutex_);
  self.init_done_ = true;
  self.init_changed_.notify_all();
}

fuse_lowlevel_ops ViewServer::Impl::Operations() {
  fuse_lowlevel_ops ops{};
  ops.init = OnInit;
  ops.lookup = OnLookup;
  ops.getattr = OnGetAttr;
  ops.open = OnOpen;
  ops.read = OnRead;
  ops.readdir = OnReadDir;
  return ops;
}

const ViewFile* ViewServer::Impl::FileOf(fuse_ino_t inode) const {
  return inode < kFirstFile || inode - kFirstFile >= files_.size() ? nullptr
                                                                   : &files_[inode - kFirstFile];
}

struct stat ViewServer::Impl::AttributesOf(fuse_ino_t inode) const {
  struct stat st {};
  const ViewFile* const file = FileOf(inode);
  st.st_ino = inode;
  st.st_gid = group_;
  st.st_blksize = kReadSize;
  st.st_nlink = file == nullptr ? 2 : 1;
  st.st_mode = file == nullptr ? S_IFDIR | 0550U : S_IFREG | file->mode;
  if (file != nullptr && file->kind == ViewFile::Kind::kKernel) {
    const auto text = KernelText(*file);
    st.st_size = text.ok() ? static_cast<off_t>(text->size()) : 0;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (file != nullptr && file->kind == ViewFile::Kind::kLog) {
    st.st_size = static_cast<off_t>(announced_.BytesIn(file->format));
  } else if (file != nullptr && file->kind == ViewFile::Kind::kCount) {
    st.st_size = static_cast<off_t>(CountText(announced_).size());
  }
  st.st_mtime = changed_;
  st.st_ctime = changed_;
  return st;
}

Result<std::string> ViewServer::Impl::KernelText(const ViewFile& file) const {
  return env_.fs.ReadFile(env_.securityfs + "/ima/" + file.name);
}

// The kernel's files under the name that the user gave, not that of our own mount.
Error ViewServer::Impl::Named(Error error) const {
  const std::string& own = securityfs_->path();
  if (error.file.starts_with(own)) {
    error.file.replace(0, own.size(), given_securityfs_);
  }
  return error;
}

void ViewServer::Impl::Report(const Error& error) {
  Error named = Named(error);
  const std::string text = named.ToString();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (reported_ == text) {
      return;
    }
    reported_ = text;
  }
  named.message += " (readers of the view get an error)";
  options_.report(named);
}

Status ViewServer::Impl::Refresh() {
  Status status = log_->Refresh();
  if (!status.ok()) {
    Report(status.error());
    return status;
  }
  Announce();
  const std::lock_guard<std::mutex> lock(mutex_);
  reported_.clear();
  return status;
}

void ViewServer::Impl::Announce() {
  const Extent end = log_->index()->end;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (end.records != announced_.records) {
    announced_ = end;
    changed_ = std::time(nullptr);
  }
}

void ViewServer::Impl::OnLookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  const Impl& self = Of(request);
  for (size_t i = 0; parent == FUSE_ROOT_ID && i < self.files_.size(); ++i) {
    if (self.files_[i].name == name) {
      fuse_entry_param entry{};
      entry.ino = kFirstFile + i;
      entry.attr = self.AttributesOf(entry.ino);
      entry.entry_timeout = kForEver;
      fuse_reply_entry(request, &entry);
      return;
    }
  }
  fuse_reply_err(request, ENOENT);
}

void ViewServer::Impl::OnGetAttr(fuse_req_t request, fuse_ino_t inode, fuse_file_info* /*info*/) {
  Impl& self = Of(request);
  const ViewFile* const file = self.FileOf(inode);
  if (file == nullptr || file->kind == ViewFile::Kind::kKernel) {
    const struct stat st = self.AttributesOf(inode);
    fuse_reply_attr(request, &st, file == nullptr ? kForEver : 0);
    return;
  }
  self.refresher_->Ask([&self, request, inode](const Status& status) {
    if (!status.ok()) {
      fuse_reply_err(request, EIO);
      return;
    }
    const struct stat st = self.AttributesOf(inode);
    fuse_reply_attr(request, &st, 0);
  });
}

void ViewServer::Impl::OnOpen(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* info) {
  if ((info->flags & O_ACCMODE) != O_RDONLY) {
    fuse_reply_err(request, EACCES);
    return;
  }
  info->direct_io = 1;
  info->noflush = 1;
  fuse_reply_open(request, info);
}

void ViewServer::Impl::ReadLog(fuse_req_t request, const ViewFile& file, size_t size,
                               uint64_t offset) {
  if (offset + size <= log_->index()->end.BytesIn(file.format)) {
    ReplyLog(request, file, size, offset);
    return;
  }
  refresher_->Ask([this, request, &file, size, offset](const Status& status) {
    if (!status.ok()) {
      fuse_reply_err(request, EIO);
      return;
    }
    ReplyLog(request, file, size, offset);
  });
}

void ViewServer::Impl::ReplyLog(fuse_req_t request, const ViewFile& file, size_t size,
                                uint64_t offset) {
  const std::shared_ptr<const LogIndex> index = log_->index();
  const std::vector<ByteView> mapped = index->Mapped(file.format, offset, size);
  if (!mapped.empty()) {
    ReplyMapped(request, mapped);
    return;
  }
  thread_local Bytes buffer;
  buffer.resize(size);
  const auto got = index->Read(file.format, offset, buffer);
  if (!got.ok()) {
    Report(got.error());
    fuse_reply_err(request, EIO);
    return;
  }
  fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), *got);
}

// The kernel copies from the files' pages to the reader's.
void ViewServer::Impl::ReplyMapped(fuse_req_t request, const std::vector<ByteView>& mapped) {
  std::vector<iovec> vectors;
  vectors.reserve(mapped.size());
  for (const ByteView view : mapped) {
    // writev(2) only takes from it.
    vectors.push_back({const_cast<std::byte*>(view.data()), view.size()});
  }
  // A page no longer exists or cannot be read from the disk. The kernel itself has
  // returned EIO to the reader.
  if (fuse_reply_iov(request, vectors.data(), static_cast<int>(vectors.size())) == -EFAULT) {
    Report(FileError(ErrorCode::kFailed, env_.config.store, "a segment could not be read"));
  }
}

namespace {

void ReplyText(fuse_req_t request, const std::string& text, size_t size, uint64_t offset) {
  const std::string_view rest =
      std::string_view(text).substr(std::min<uint64_t>(offset, text.size()));
  fuse_reply_buf(request, rest.data(), std::min(size, rest.size()));
}

}  // namespace

void ViewServer::Impl::ReadCount(fuse_req_t request, size_t size, uint64_t offset) {
  refresher_->Ask([this, request, size, offset](const Status& status) {
    if (!status.ok()) {
      fuse_reply_err(request, EIO);
      return;
    }
    ReplyText(request, CountText(log_->index()->end), size, offset);
  });
}

void ViewServer::Impl::ReadKernelFile(fuse_req_t request, const ViewFile& file, size_t size,
                                      uint64_t offset) {
  const auto text = KernelText(file);
  if (!text.ok()) {
    fuse_reply_err(request, ErrnoOf(text.error()));
    return;
  }
  ReplyText(request, *text, size, offset);
}

void ViewServer::Impl::OnRead(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                              fuse_file_info* /*info*/) {
  Impl& self = Of(request);
  const ViewFile* const file = self.FileOf(inode);
  if (file == nullptr) {
    fuse_reply_err(request, EISDIR);
    return;
  }
  const auto from = static_cast<uint64_t>(offset);
  switch (file->kind) {
    case ViewFile::Kind::kLog:
      self.ReadLog(request, *file, size, from);
      break;
    case ViewFile::Kind::kCount:
      self.ReadCount(request, size, from);
      break;
    case ViewFile::Kind::kKernel:
      self.ReadKernelFile(request, *file, size, from);
      break;
  }
}

void ViewServer::Impl::OnReadDir(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                                 fuse_file_info* /*info*/) {
  const Impl& self = Of(request);
  if (inode != FUSE_ROOT_ID) {
    fuse_reply_err(request, ENOTDIR);
    return;
  }
  std::vector<char> buffer(size);
  size_t used = 0;
  // Entry 0 and 1 are "." and "..", then the files in the order of their inodes.
  for (auto entry = static_cast<size_t>(offset); entry < self.files_.size() + 2; ++entry) {
    const fuse_ino_t number = entry < 2 ? FUSE_ROOT_ID : kFirstFile + entry - 2;
    const std::string name = entry == 0 ? "." : entry == 1 ? ".." : self.files_[entry - 2].name;
    const struct stat st = self.AttributesOf(number);
    const size_t need = fuse_add_direntry(request, buffer.data() + used, size - used, name.c_str(),
                                          &st, static_cast<off_t>(entry + 1));
    if (need > size - used) {
      break;
    }
    used += need;
  }
  fuse_reply_buf(request, buffer.data(), used);
}

Result<std::unique_ptr<ViewServer>> ViewServer::Mount(const Environment& env,
                                                      const std::string& directory,
                                                      ViewOptions options) {
  auto impl = std::make_unique<Impl>(env, std::move(options));
  IMASNAP_RETURN_IF_ERROR(impl->Start(env, directory));
  return std::unique_ptr<ViewServer>(new ViewServer(std::move(impl)));
}

ViewServer::ViewServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ViewServer::~ViewServer() = default;
bool ViewServer::alive() const { return impl_->session().alive(); }
int ViewServer::done_fd() const { return impl_->session().done_fd(); }

}  // namespace imasnap
