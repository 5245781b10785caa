// SPDX-License-Identifier: GPL-2.0-or-later
//
// The thin interface through which every file, lock and directory is reached,
// so that tests can make any call fail and drop what was not synced.
//
// The virtual functions correspond to one system call each. Their errors carry file and
// errno_value. The functions that are not virtual handle EINTR and short counts.
#ifndef IMASNAP_BASE_FILE_SYSTEM_H_
#define IMASNAP_BASE_FILE_SYSTEM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace imasnap {

enum class FileType { kRegular, kDirectory, kSymlink, kOther };

struct FileInfo {
  FileType type = FileType::kOther;
  uint32_t owner = 0;
  uint32_t mode = 0;  // permission bits
  uint64_t size = 0;
  uint32_t group = 0;
  int64_t changed = 0;  // st_ctim, in ns
};

struct FileSystemInfo {
  uint64_t magic = 0;      // f_type of statfs(2)
  uint64_t available = 0;  // bytes an unprivileged writer may use
};

enum class LockMode { kShared, kExclusive };

enum class OpenMode {
  kRead,
  kReadWrite,      // an existing file
  kCreate,         // a new file, for writing; fails when it exists
  kCreatePrivate,  // the same, mode 0600
  kLockFile,       // for flock(2): created when absent, never written
  kExistingLock,   // the same, never created; a FIFO does not block it
};

class File : public ByteSource {
 public:
  explicit File(std::string path) : path_(std::move(path)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() override = default;

  const std::string& path() const { return path_; }

  virtual Result<size_t> ReadSome(std::span<std::byte> out) = 0;
  // pread(2): reads at `offset` and leaves the place of ReadSome() alone.
  virtual Result<size_t> ReadSomeAt(uint64_t offset, std::span<std::byte> out) = 0;
  virtual Result<size_t> WriteSome(ByteView bytes) = 0;
  virtual Result<uint64_t> Seek(uint64_t offset) = 0;
  virtual Status Sync() = 0;
  virtual Result<FileInfo> Stat() = 0;
  // mmap(2) of the first `size` bytes, until the file is destroyed. Only system calls
  // should read them: if the file was truncated since, they fail with EFAULT, but a
  // process that reads them itself gets SIGBUS. The file is mapped once, so a later
  // call cannot map more. Some files cannot be mapped.
  virtual Result<ByteView> Map(uint64_t size);
  // Takes the lock or fails with kLocked, never waits.
  virtual Status TryLock(LockMode mode) = 0;
  // Closes early, to see the error; the destructor closes what is still open.
  virtual Status Close() = 0;

  Result<size_t> Read(std::span<std::byte> out) final;
  // Fills `out` from `offset` on. Fails if the file ends before that. May be called by
  // several threads at once.
  Status ReadAllAt(uint64_t offset, std::span<std::byte> out);
  // The rest of the file; more than `limit` bytes are kMalformed.
  Result<std::string> ReadRest(size_t limit);
  Status WriteAll(ByteView bytes);
  Status Rewind();   // Seek(0)
  Status SyncAll();  // Sync(), again after EINTR

 private:
  std::string path_;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // A file without a name, for what has to be read again.
  virtual Result<std::unique_ptr<File>> OpenTemporary() = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Unlink(const std::string& path) = 0;
  virtual Status MakeDirectory(const std::string& path) = 0;  // mode 0750
  virtual Status RemoveDirectory(const std::string& path) = 0;
  // fsync(2) of the directory: its entries are durable afterwards.
  virtual Status SyncDirectory(const std::string& path) = 0;
  virtual Status Symlink(const std::string& target, const std::string& path) = 0;
  virtual Result<std::string> ReadLink(const std::string& path) = 0;
  virtual Result<FileInfo> Stat(const std::string& path) = 0;  // lstat(2)
  virtual Result<FileSystemInfo> StatFileSystem(const std::string& path) = 0;
  // Names in the directory, sorted, without "." and "..".
  virtual Result<std::vector<std::string>> List(const std::string& path) = 0;

  // Opens, again after EINTR.
  Result<std::unique_ptr<File>> OpenFile(const std::string& path, OpenMode mode);
  // The whole of a small file; a larger one than `limit` bytes is an error.
  Result<std::string> ReadFile(const std::string& path, size_t limit = 16U << 20);
  // Whether something has this name. Fails if that cannot be found out.
  Result<bool> Exists(const std::string& path);
  // Makes the directory and those above it, each durable in its parent.
  Status MakeDirectories(const std::string& path);
  // Writes <path>.tmp, syncs it, renames it to `path` and syncs the directory:
  // after a crash `path` holds either what it held before or all of `text`.
  Status WriteDurably(const std::string& path, std::string_view text,
                      OpenMode mode = OpenMode::kCreate);
};

// The real one.
std::unique_ptr<FileSystem> MakePosixFileSystem();

// statfs(2) magics of file systems that keep their files in memory.
inline constexpr uint64_t kTmpfsMagic = 0x01021994;
inline constexpr uint64_t kRamfsMagic = 0x858458f6;

std::string ParentDirectory(const std::string& path);

// Writes the rest of `from` to `to`, from where each is.
Status CopyRest(ByteSource& from, File* to);
// Copies the rest of `from` to a file without a name, which is then at its beginning.
Result<std::unique_ptr<File>> Spool(FileSystem& fs, ByteSource& from);

}  // namespace imasnap

#endif  // IMASNAP_BASE_FILE_SYSTEM_H_
