// SPDX-License-Identifier: GPL-2.0-or-later
//
// A file system in memory that knows what was synced, fails any call on demand,
// and has a FakeKernel mounted at /sys/kernel/security/ima.
#ifndef IMASNAP_TESTS_FAKE_FILE_SYSTEM_H_
#define IMASNAP_TESTS_FAKE_FILE_SYSTEM_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "fake_kernel.h"

namespace imasnap::testing {

struct Fault {
  enum class Kind {
    kError,        // the call fails with errno_value and does nothing
    kShort,        // a read or write does half of it; other calls are not changed
    kCrashBefore,  // the process dies instead of making the call
    kCrashAfter,   // the process dies after the call
  };
  int call = 0;  // the nth call, from 1; 0: never
  Kind kind = Kind::kError;
  int errno_value = 0;
  // How often the call fails: once for EINTR, always for a bad disk.
  int times = 1;
  // Instead of `call`: the first of this name, "<call> <path>", after `skip`.
  std::string at{};
  int skip = 0;
};

class FakeFileSystem : public FileSystem {
 public:
  struct Node {
    FileType type = FileType::kRegular;
    uint32_t owner = 0;
    uint32_t mode = 0644;
    int64_t changed = 0;
    Bytes data;
    Bytes durable_data;
    std::string target;
    std::map<std::string, std::shared_ptr<Node>> entries;
    std::map<std::string, std::shared_ptr<Node>> durable_entries;
    int shared_locks = 0;
    bool exclusive_lock = false;
  };

  explicit FakeFileSystem(FakeKernel* kernel);

  // Test's own access, never failing, durable.
  void Write(const std::string& path, std::string_view text);
  void MakeAll(const std::string& path);
  std::optional<std::string> Read(const std::string& path) const;
  std::vector<std::string> Names(const std::string& path) const;
  Node* Find(const std::string& path) const;
  void Remove(const std::string& path);
  void Move(const std::string& from, const std::string& to);

  // Called before each call, "<call> <path>": what others do meanwhile.
  std::function<void(const std::string&)> on_call;
  // Begins to count calls anew, with a fault among them.
  void Arm(const Fault& fault);
  int calls() const { return calls_; }
  bool crashed() const { return crashed_; }
  bool fault_hit() const { return hit_; }
  const std::string& fault_call() const { return fault_call_; }
  // The process has died; `lose_unsynced` also drops what was not synced.
  void Restart(bool lose_unsynced);

  uint64_t available = uint64_t{1} << 40;
  uint64_t magic = 0xef53;  // ext4
  bool read_only = false;
  // Bytes that may still be written before ENOSPC.
  std::optional<uint64_t> room;

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Result<std::unique_ptr<File>> OpenTemporary() override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Unlink(const std::string& path) override;
  Status MakeDirectory(const std::string& path) override;
  Status RemoveDirectory(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Status Symlink(const std::string& target, const std::string& path) override;
  Result<std::string> ReadLink(const std::string& path) override;
  Result<FileInfo> Stat(const std::string& path) override;
  Result<FileSystemInfo> StatFileSystem(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& path) override;

  // For the files: counts a call; an error if it fails or the process is dead.
  // `half` is set when it is to be done by half.
  Status Enter(const std::string& what, const std::string& path, bool* half = nullptr);
  // Ends a call: the process may die now.
  void Leave();

 private:
  Status EnterWriting(const std::string& what, const std::string& path);
  std::shared_ptr<Node> Lookup(const std::string& path) const;
  std::optional<std::string> KernelName(const std::string& path) const;

  FakeKernel* kernel_;
  std::shared_ptr<Node> root_;
  Fault fault_;
  int calls_ = 0;
  bool hit_ = false;
  bool crashed_ = false;
  bool die_after_ = false;
  std::string fault_call_;
};

}  // namespace imasnap::testing

#endif  // IMASNAP_TESTS_FAKE_FILE_SYSTEM_H_
