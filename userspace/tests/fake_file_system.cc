// SPDX-License-Identifier: GPL-2.0-or-later
#include "fake_file_system.h"

#include <algorithm>
#include <cerrno>
#include <functional>

namespace imasnap::testing {
namespace {

using Node = FakeFileSystem::Node;

// The second is for code that asks this machine's kernel what is mounted there.
constexpr std::string_view kKernelDirectories[] = {"/sys/kernel/security/ima", "/elsewhere/ima"};

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

FileInfo InfoOf(const Node& node) {
  return {.type = node.type,
          .owner = node.owner,
          .mode = node.mode,
          .size = node.data.size(),
          .changed = node.changed};
}

class FakeFile : public File {
 public:
  FakeFile(std::string path, FakeFileSystem* fs, std::shared_ptr<Node> node)
      : File(std::move(path)), fs_(fs), node_(std::move(node)) {}
  ~FakeFile() override { Unlock(); }

  Result<size_t> ReadSome(std::span<std::byte> out) override {
    bool half = false;
    IMASNAP_RETURN_IF_ERROR(fs_->Enter("read", path(), &half));
    size_t n = std::min(out.size(), node_->data.size() - at_);
    n = half ? (n + 1) / 2 : n;
    std::copy_n(node_->data.begin() + static_cast<ptrdiff_t>(at_), n, out.begin());
    at_ += n;
    fs_->Leave();
    return n;
  }

  Result<size_t> ReadSomeAt(uint64_t offset, std::span<std::byte> out) override {
    bool half = false;
    IMASNAP_RETURN_IF_ERROR(fs_->Enter("pread", path(), &half));
    const size_t begin = std::min<size_t>(offset, node_->data.size());
    size_t n = std::min(out.size(), node_->data.size() - begin);
    n = half ? (n + 1) / 2 : n;
    std::copy_n(node_->data.begin() + static_cast<ptrdiff_t>(begin), n, out.begin());
    fs_->Leave();
    return n;
  }

  Result<size_t> WriteSome(ByteView bytes) override {
    bool half = false;
    IMASNAP_RETURN_IF_ERROR(fs_->Enter("write", path(), &half));
    size_t n = half ? (bytes.size() + 1) / 2 : bytes.size();
    if (fs_->room) {
      if (*fs_->room == 0) {
        return SystemError(path(), "write", ENOSPC);
      }
      n = std::min<uint64_t>(n, *fs_->room);
      *fs_->room -= n;
    }
    node_->data.resize(at_);
    AppendBytes(bytes.first(n), &node_->data);
    ++node_->changed;
    at_ += n;
    fs_->Leave();
    return n;
  }

  Result<uint64_t> Seek(uint64_t offset) override {
    at_ = offset;
    return offset;
  }

  Status Sync() override {
    IMASNAP_RETURN_IF_ERROR(fs_->Enter("fsync", path()));
    node_->durable_data = node_->data;
    fs_->Leave();
    return {};
  }

  Result<ByteView> Map(uint64_t size) override { return ByteView(node_->data).first(size); }

  Result<FileInfo> Stat() override {
    IMASNAP_RETURN_IF_ERROR(fs_->Enter("fstat", path()));
    return InfoOf(*node_);
  }

  Status TryLock(LockMode mode) override {
    IMASNAP_RETURN_IF_ERROR(fs_->Enter("flock", path()));
    if (node_->exclusive_lock || (mode == LockMode::kExclusive && node_->shared_locks > 0)) {
      return FileError(ErrorCode::kLocked, path(), "is locked by another process");
    }
    held_ = mode;
    if (mode == LockMode::kExclusive) {
      node_->exclusive_lock = true;
    } else {
      ++node_->shared_locks;
    }
    return {};
  }

  Status Close() override {
    Unlock();
    return fs_->Enter("close", path());
  }

 private:
  void Unlock() {
    if (held_ == LockMode::kExclusive) {
      node_->exclusive_lock = false;
    } else if (held_ == LockMode::kShared) {
      --node_->shared_locks;
    }
    held_.reset();
  }

  FakeFileSystem* fs_;
  std::shared_ptr<Node> node_;
  size_t at_ = 0;
  std::optional<LockMode> held_;
};

// Counts and fails the calls made on a file of the kernel.
class CountedFile : public File {
 public:
  CountedFile(FakeFileSystem* fs, std::unique_ptr<File> file)
      : File(file->path()), fs_(fs), file_(std::move(file)) {}

  Result<size_t> ReadSome(std::span<std::byte> out) override {
    bool half = false;
    IMASNAP_RETURN_IF_ERROR(fs_->Enter("read", path(), &half));
    auto result = file_->ReadSome(half ? out.first((out.size() + 1) / 2) : out);
    fs_->Leave();
    return result;
  }
  Result<size_t> ReadSomeAt(uint64_t offset, std::span<std::byte> out) override {
    return file_->ReadSomeAt(offset, out);
  }
  Result<size_t> WriteSome(ByteView bytes) override {
    // Each write to the kernel is one word, which distinguishes the calls.
    IMASNAP_RETURN_IF_ERROR(fs_->Enter("write " + std::string(AsText(bytes.first(1))), path()));
    auto result = file_->WriteSome(bytes);
    fs_->Leave();
    return result;
  }
  Result<uint64_t> Seek(uint64_t offset) override { return file_->Seek(offset); }
  Status Sync() override { return file_->Sync(); }
  Result<FileInfo> Stat() override { return file_->Stat(); }
  Status TryLock(LockMode mode) override { return file_->TryLock(mode); }
  Status Close() override {
    IMASNAP_RETURN_IF_ERROR(fs_->Enter("close", path()));
    return file_->Close();
  }

 private:
  FakeFileSystem* fs_;
  std::unique_ptr<File> file_;
};

}  // namespace

FakeFileSystem::FakeFileSystem(FakeKernel* kernel)
    : kernel_(kernel), root_(std::make_shared<Node>()) {
  root_->type = FileType::kDirectory;
  root_->mode = 0755;
  MakeAll("/var/lib");
  MakeAll("/run/lock");
  MakeAll("/etc");
}

void FakeFileSystem::MakeAll(const std::string& path) {
  std::shared_ptr<Node> at = root_;
  size_t begin = 1;
  while (begin < path.size()) {
    size_t end = path.find('/', begin);
    end = end == std::string::npos ? path.size() : end;
    std::shared_ptr<Node>& next = at->entries[path.substr(begin, end - begin)];
    if (!next) {
      next = std::make_shared<Node>();
      next->type = FileType::kDirectory;
      next->mode = 0755;
    }
    at->durable_entries = at->entries;
    at = next;
    begin = end + 1;
  }
}

void FakeFileSystem::Write(const std::string& path, std::string_view text) {
  MakeAll(ParentDirectory(path));
  const auto parent = Lookup(ParentDirectory(path));
  auto node = std::make_shared<Node>();
  AppendBytes(AsBytes(text), &node->data);
  node->durable_data = node->data;
  parent->entries[BaseName(path)] = node;
  parent->durable_entries[BaseName(path)] = node;
}

std::optional<std::string> FakeFileSystem::Read(const std::string& path) const {
  const auto node = Lookup(path);
  return node ? std::optional<std::string>(AsText(node->data)) : std::nullopt;
}

std::vector<std::string> FakeFileSystem::Names(const std::string& path) const {
  std::vector<std::string> names;
  if (const auto node = Lookup(path)) {
    for (const auto& [name, child] : node->entries) {
      names.push_back(name);
    }
  }
  return names;
}

Node* FakeFileSystem::Find(const std::string& path) const { return Lookup(path).get(); }

void FakeFileSystem::Remove(const std::string& path) {
  const auto parent = Lookup(ParentDirectory(path));
  parent->entries.erase(BaseName(path));
  parent->durable_entries = parent->entries;
}

void FakeFileSystem::Move(const std::string& from, const std::string& to) {
  const auto node = Lookup(from);
  Remove(from);
  const auto parent = Lookup(ParentDirectory(to));
  parent->entries[BaseName(to)] = node;
  parent->durable_entries = parent->entries;
}

void FakeFileSystem::Arm(const Fault& fault) {
  fault_ = fault;
  calls_ = 0;
  hit_ = false;
  die_after_ = false;
  fault_call_.clear();
}

void FakeFileSystem::Restart(bool lose_unsynced) {
  crashed_ = false;
  Arm({});
  const std::function<void(Node*)> settle = [&](Node* node) {
    node->shared_locks = 0;
    node->exclusive_lock = false;
    if (lose_unsynced) {
      node->entries = node->durable_entries;
      node->data = node->durable_data;
    }
    for (const auto& [name, child] : node->entries) {
      settle(child.get());
    }
  };
  settle(root_.get());
}

Status FakeFileSystem::Enter(const std::string& what, const std::string& path, bool* half) {
  if (crashed_) {
    return SystemError(path, what + " (after the crash)", EIO);
  }
  if (const auto call = on_call) {
    call(what + " " + path);
  }
  ++calls_;
  if (fault_.call == 0 && fault_.at == what + " " + path && fault_.skip-- == 0) {
    fault_.call = calls_;
  }
  if (fault_.call == 0 || calls_ < fault_.call || calls_ >= fault_.call + fault_.times) {
    return {};
  }
  hit_ = true;
  if (fault_call_.empty()) {
    fault_call_ = what + " " + path;
  }
  switch (fault_.kind) {
    case Fault::Kind::kError:
      return SystemError(path, what, fault_.errno_value);
    case Fault::Kind::kShort:
      if (half != nullptr) {
        *half = true;
      }
      return {};
    case Fault::Kind::kCrashBefore:
      crashed_ = true;
      return SystemError(path, what + " (crash)", EIO);
    case Fault::Kind::kCrashAfter:
      die_after_ = true;
      return {};
  }
  return {};
}

void FakeFileSystem::Leave() {
  if (die_after_) {
    die_after_ = false;
    crashed_ = true;
  }
}

Status FakeFileSystem::EnterWriting(const std::string& what, const std::string& path) {
  IMASNAP_RETURN_IF_ERROR(Enter(what, path));
  if (read_only) {
    return SystemError(path, what, EROFS);
  }
  if (!Lookup(ParentDirectory(path))) {
    return SystemError(path, what, ENOENT);
  }
  return {};
}

std::shared_ptr<Node> FakeFileSystem::Lookup(const std::string& path) const {
  std::shared_ptr<Node> at = root_;
  size_t begin = 1;
  while (at && begin < path.size()) {
    size_t end = path.find('/', begin);
    end = end == std::string::npos ? path.size() : end;
    const auto it = at->entries.find(path.substr(begin, end - begin));
    at = it == at->entries.end() ? nullptr : it->second;
    begin = end + 1;
  }
  return at;
}

std::optional<std::string> FakeFileSystem::KernelName(const std::string& path) const {
  for (const std::string_view directory : kKernelDirectories) {
    if (kernel_ != nullptr && path.starts_with(directory)) {
      return path.size() == directory.size() ? "" : path.substr(directory.size() + 1);
    }
  }
  return std::nullopt;
}

Result<std::unique_ptr<File>> FakeFileSystem::Open(const std::string& path, OpenMode mode) {
  IMASNAP_RETURN_IF_ERROR(Enter("open", path));
  if (const auto name = KernelName(path)) {
    IMASNAP_ASSIGN(std::unique_ptr<File> file,
                   kernel_->Open(*name, path, mode == OpenMode::kReadWrite));
    Leave();
    return std::unique_ptr<File>(new CountedFile(this, std::move(file)));
  }
  std::shared_ptr<Node> node = Lookup(path);
  const bool fresh = mode == OpenMode::kCreate || mode == OpenMode::kCreatePrivate;
  const bool create = fresh || mode == OpenMode::kLockFile;
  if (!node && !create) {
    return SystemError(path, "open", ENOENT);
  }
  if (node && fresh) {
    return SystemError(path, "open", EEXIST);
  }
  if (!node) {
    const auto parent = Lookup(ParentDirectory(path));
    if (read_only || !parent) {
      return SystemError(path, "open", read_only ? EROFS : ENOENT);
    }
    node = std::make_shared<Node>();
    node->mode = mode == OpenMode::kCreatePrivate ? 0600 : 0640;
    parent->entries[BaseName(path)] = node;
  }
  Leave();
  return std::unique_ptr<File>(new FakeFile(path, this, node));
}

Result<std::unique_ptr<File>> FakeFileSystem::OpenTemporary() {
  IMASNAP_RETURN_IF_ERROR(Enter("open", "temporary file"));
  return std::unique_ptr<File>(new FakeFile("temporary file", this, std::make_shared<Node>()));
}

Status FakeFileSystem::Rename(const std::string& from, const std::string& to) {
  IMASNAP_RETURN_IF_ERROR(EnterWriting("rename", from));
  const auto node = Lookup(from);
  if (!node) {
    return SystemError(from, "rename", ENOENT);
  }
  Lookup(ParentDirectory(from))->entries.erase(BaseName(from));
  Lookup(ParentDirectory(to))->entries[BaseName(to)] = node;
  Leave();
  return {};
}

Status FakeFileSystem::Unlink(const std::string& path) {
  IMASNAP_RETURN_IF_ERROR(EnterWriting("unlink", path));
  if (Lookup(ParentDirectory(path))->entries.erase(BaseName(path)) == 0) {
    return SystemError(path, "unlink", ENOENT);
  }
  Leave();
  return {};
}

Status FakeFileSystem::MakeDirectory(const std::string& path) {
  IMASNAP_RETURN_IF_ERROR(EnterWriting("mkdir", path));
  std::shared_ptr<Node>& node = Lookup(ParentDirectory(path))->entries[BaseName(path)];
  if (node) {
    return SystemError(path, "mkdir", EEXIST);
  }
  node = std::make_shared<Node>();
  node->type = FileType::kDirectory;
  node->mode = 0750;
  Leave();
  return {};
}

Status FakeFileSystem::RemoveDirectory(const std::string& path) {
  IMASNAP_RETURN_IF_ERROR(EnterWriting("rmdir", path));
  const auto node = Lookup(path);
  if (!node || !node->entries.empty()) {
    return SystemError(path, "rmdir", node ? ENOTEMPTY : ENOENT);
  }
  Lookup(ParentDirectory(path))->entries.erase(BaseName(path));
  Leave();
  return {};
}

Status FakeFileSystem::SyncDirectory(const std::string& path) {
  IMASNAP_RETURN_IF_ERROR(Enter("fsync", path));
  const auto node = Lookup(path);
  if (!node) {
    return SystemError(path, "fsync", ENOENT);
  }
  node->durable_entries = node->entries;
  Leave();
  return {};
}

Status FakeFileSystem::Symlink(const std::string& target, const std::string& path) {
  IMASNAP_RETURN_IF_ERROR(EnterWriting("symlink", path));
  std::shared_ptr<Node>& node = Lookup(ParentDirectory(path))->entries[BaseName(path)];
  if (node) {
    return SystemError(path, "symlink", EEXIST);
  }
  node = std::make_shared<Node>();
  node->type = FileType::kSymlink;
  node->target = target;
  Leave();
  return {};
}

Result<std::string> FakeFileSystem::ReadLink(const std::string& path) {
  IMASNAP_RETURN_IF_ERROR(Enter("readlink", path));
  const auto node = Lookup(path);
  if (!node || node->type != FileType::kSymlink) {
    return SystemError(path, "readlink", node ? EINVAL : ENOENT);
  }
  return node->target;
}

Result<FileInfo> FakeFileSystem::Stat(const std::string& path) {
  IMASNAP_RETURN_IF_ERROR(Enter("stat", path));
  if (const auto name = KernelName(path)) {
    if (name->empty()) {
      return FileInfo{FileType::kDirectory, 0, 0755, 0};
    }
    if (kernel_->Has(*name)) {
      return FileInfo{FileType::kRegular, 0, 0440, 0};
    }
    return SystemError(path, "stat", ENOENT);
  }
  const auto node = Lookup(path);
  if (!node) {
    return SystemError(path, "stat", ENOENT);
  }
  return InfoOf(*node);
}

Result<FileSystemInfo> FakeFileSystem::StatFileSystem(const std::string& path) {
  IMASNAP_RETURN_IF_ERROR(Enter("statfs", path));
  if (!Lookup(path)) {
    return SystemError(path, "statfs", ENOENT);
  }
  return FileSystemInfo{magic, available};
}

Result<std::vector<std::string>> FakeFileSystem::List(const std::string& path) {
  IMASNAP_RETURN_IF_ERROR(Enter("opendir", path));
  if (KernelName(path) == "") {
    return kernel_->Names();
  }
  const auto node = Lookup(path);
  if (!node) {
    return SystemError(path, "opendir", ENOENT);
  }
  return Names(path);
}

}  // namespace imasnap::testing
