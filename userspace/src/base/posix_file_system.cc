// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/file_system.h"

namespace imasnap {
namespace {

constexpr int64_t kNanoseconds = 1'000'000'000;

FileInfo ToInfo(const struct stat& st) {
  FileInfo info;
  info.type = S_ISREG(st.st_mode)   ? FileType::kRegular
              : S_ISDIR(st.st_mode) ? FileType::kDirectory
              : S_ISLNK(st.st_mode) ? FileType::kSymlink
                                    : FileType::kOther;
  info.owner = st.st_uid;
  info.mode = st.st_mode & 07777;
  info.size = static_cast<uint64_t>(st.st_size);
  info.group = st.st_gid;
  info.changed = st.st_ctim.tv_sec * kNanoseconds + st.st_ctim.tv_nsec;
  return info;
}

class PosixFile : public File {
 public:
  PosixFile(std::string path, int fd) : File(std::move(path)), fd_(fd) {}
  ~PosixFile() override {
    if (fd_ >= 0) {
      ::close(fd_);
    }
    if (mapped_ != nullptr) {
      ::munmap(mapped_, mapped_size_);
    }
  }

  Result<size_t> ReadSome(std::span<std::byte> out) override {
    const ssize_t n = ::read(fd_, out.data(), out.size());
    if (n < 0) {
      return SystemError(path(), "read", errno);
    }
    return static_cast<size_t>(n);
  }

  Result<size_t> ReadSomeAt(uint64_t offset, std::span<std::byte> out) override {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0) {
      return SystemError(path(), "pread", errno);
    }
    return static_cast<size_t>(n);
  }

  Result<size_t> WriteSome(ByteView bytes) override {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0) {
      return SystemError(path(), "write", errno);
    }
    return static_cast<size_t>(n);
  }

  Result<uint64_t> Seek(uint64_t offset) override {
    const off_t at = ::lseek(fd_, static_cast<off_t>(offset), SEEK_SET);
    if (at < 0) {
      return SystemError(path(), "lseek", errno);
    }
    return static_cast<uint64_t>(at);
  }

  Status Sync() override {
    if (::fsync(fd_) != 0) {
      return SystemError(path(), "fsync", errno);
    }
    return {};
  }

  Result<FileInfo> Stat() override {
    struct stat st;
    if (::fstat(fd_, &st) != 0) {
      return SystemError(path(), "stat", errno);
    }
    return ToInfo(st);
  }

  Result<ByteView> Map(uint64_t size) override {
    if (mapped_ == nullptr) {
      void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd_, 0);
      if (mapped == MAP_FAILED) {
        return SystemError(path(), "mmap", errno);
      }
      mapped_ = mapped;
      mapped_size_ = size;
    }
    if (size > mapped_size_) {
      return SystemError(path(), "mmap", EINVAL);
    }
    return ByteView(static_cast<const std::byte*>(mapped_), size);
  }

  Status TryLock(LockMode mode) override {
    const int operation = (mode == LockMode::kShared ? LOCK_SH : LOCK_EX) | LOCK_NB;
    while (::flock(fd_, operation) != 0) {
      if (errno == EWOULDBLOCK) {
        return FileError(ErrorCode::kLocked, path(),
                         "is locked by another process; try again later (lslocks(8) shows which)");
      }
      if (errno != EINTR) {
        return SystemError(path(), "flock", errno);
      }
    }
    return {};
  }

  Status Close() override {
    const int fd = std::exchange(fd_, -1);
    // close(2): on Linux the descriptor is gone even after EINTR.
    if (fd >= 0 && ::close(fd) != 0 && errno != EINTR) {
      return SystemError(path(), "close", errno);
    }
    return {};
  }

 private:
  int fd_;
  void* mapped_ = nullptr;
  size_t mapped_size_ = 0;
};

class PosixFileSystem : public FileSystem {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    mode_t permissions = 0;
    switch (mode) {
      case OpenMode::kRead:
        flags |= O_RDONLY;
        break;
      case OpenMode::kReadWrite:
        flags |= O_RDWR;
        break;
      case OpenMode::kCreate:
        flags |= O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
        permissions = 0640;
        break;
      case OpenMode::kCreatePrivate:
        flags |= O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
        permissions = 0600;
        break;
      case OpenMode::kLockFile:
        flags |= O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
        permissions = 0640;
        break;
      case OpenMode::kExistingLock:
        flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
        break;
    }
    const int fd = ::open(path.c_str(), flags, permissions);
    if (fd < 0) {
      return SystemError(path, "open", errno);
    }
    return std::unique_ptr<File>(new PosixFile(path, fd));
  }

  Result<std::unique_ptr<File>> OpenTemporary() override {
    const char* configured = std::getenv("TMPDIR");
    for (const char* directory : {configured, "/var/tmp", "/tmp"}) {
      if (directory == nullptr) {
        continue;
      }
      const int fd = ::open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
      if (fd >= 0) {
        return std::unique_ptr<File>(new PosixFile("temporary file", fd));
      }
    }
    const int fd = ::memfd_create("ima-snapshot", MFD_CLOEXEC);
    if (fd < 0) {
      return SystemError("temporary file", "memfd_create", errno);
    }
    return std::unique_ptr<File>(new PosixFile("temporary file", fd));
  }

  Status Rename(const std::string& from, const std::string& to) override {
    return Check(::rename(from.c_str(), to.c_str()), from, "rename");
  }
  Status Unlink(const std::string& path) override {
    return Check(::unlink(path.c_str()), path, "unlink");
  }
  Status MakeDirectory(const std::string& path) override {
    return Check(::mkdir(path.c_str(), 0750), path, "mkdir");
  }
  Status RemoveDirectory(const std::string& path) override {
    return Check(::rmdir(path.c_str()), path, "rmdir");
  }
  Status Symlink(const std::string& target, const std::string& path) override {
    return Check(::symlink(target.c_str(), path.c_str()), path, "symlink");
  }

  Status SyncDirectory(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
      return SystemError(path, "open", errno);
    }
    PosixFile directory(path, fd);
    return directory.SyncAll();
  }

  Result<std::string> ReadLink(const std::string& path) override {
    std::array<char, 4096> buffer;
    const ssize_t n = ::readlink(path.c_str(), buffer.data(), buffer.size());
    if (n < 0) {
      return SystemError(path, "readlink", errno);
    }
    return std::string(buffer.data(), static_cast<size_t>(n));
  }

  Result<FileInfo> Stat(const std::string& path) override {
    struct stat st;
    if (::lstat(path.c_str(), &st) != 0) {
      return SystemError(path, "stat", errno);
    }
    return ToInfo(st);
  }

  Result<FileSystemInfo> StatFileSystem(const std::string& path) override {
    struct statfs st;
    if (::statfs(path.c_str(), &st) != 0) {
      return SystemError(path, "statfs", errno);
    }
    // f_type is signed on some machines; the magics have 32 bits.
    return FileSystemInfo{static_cast<uint32_t>(st.f_type),
                          static_cast<uint64_t>(st.f_bavail) * static_cast<uint64_t>(st.f_bsize)};
  }

  Result<std::vector<std::string>> List(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
    if (!directory) {
      return SystemError(path, "opendir", errno);
    }
    std::vector<std::string> names;
    while (true) {
      errno = 0;
      const struct dirent* entry = ::readdir(directory.get());
      if (entry == nullptr) {
        break;
      }
      const std::string name = entry->d_name;
      if (name != "." && name != "..") {
        names.push_back(name);
      }
    }
    if (errno != 0) {
      return SystemError(path, "readdir", errno);
    }
    std::ranges::sort(names);
    return names;
  }

 private:
  static Status Check(int result, const std::string& path, const char* what) {
    if (result != 0) {
      return SystemError(path, what, errno);
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<FileSystem> MakePosixFileSystem() { return std::make_unique<PosixFileSystem>(); }

}  // namespace imasnap
