// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/file_system.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>

namespace imasnap {
namespace {

constexpr size_t kCopyChunk = size_t{256} * 1024;

}  // namespace

Result<size_t> File::Read(std::span<std::byte> out) {
  while (true) {
    auto got = ReadSome(out);
    if (got.ok() || got.error().errno_value != EINTR) {
      return got;
    }
  }
}

Status File::ReadAllAt(uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    auto got = ReadSomeAt(offset, out);
    if (!got.ok()) {
      if (got.error().errno_value == EINTR) {
        continue;
      }
      return std::move(got.error());
    }
    if (*got == 0) {
      Error error = FileError(ErrorCode::kMismatch, Cause::kEndsEarly, path_,
                              fmt::format("ends {} bytes early", out.size()));
      error.offset = offset;
      return error;
    }
    offset += *got;
    out = out.subspan(*got);
  }
  return {};
}

Result<ByteView> File::Map(uint64_t /*size*/) { return SystemError(path_, "mmap", ENODEV); }

Status File::WriteAll(ByteView bytes) {
  while (!bytes.empty()) {
    auto wrote = WriteSome(bytes);
    if (!wrote.ok()) {
      if (wrote.error().errno_value == EINTR) {
        continue;
      }
      return std::move(wrote.error());
    }
    if (*wrote == 0) {
      return SystemError(path_, "write", EIO);
    }
    bytes = bytes.subspan(*wrote);
  }
  return {};
}

Status File::Rewind() {
  auto at = Seek(0);
  if (!at.ok()) {
    return std::move(at.error());
  }
  return {};
}

Status File::SyncAll() {
  while (true) {
    auto status = Sync();
    if (status.ok() || status.error().errno_value != EINTR) {
      return status;
    }
  }
}

Result<std::unique_ptr<File>> FileSystem::OpenFile(const std::string& path, OpenMode mode) {
  while (true) {
    auto file = Open(path, mode);
    if (file.ok() || file.error().errno_value != EINTR) {
      return file;
    }
  }
}

Result<std::string> File::ReadRest(size_t limit) {
  std::string text;
  std::array<std::byte, 16384> buffer;
  while (true) {
    IMASNAP_ASSIGN(const size_t got, Read(buffer));
    if (got == 0) {
      return text;
    }
    text.append(AsText(ByteView(buffer).first(got)));
    if (text.size() > limit) {
      return FileError(ErrorCode::kMalformed, Cause::kTooLarge, path_,
                       fmt::format("is larger than {} bytes", limit));
    }
  }
}

Result<std::string> FileSystem::ReadFile(const std::string& path, size_t limit) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, OpenFile(path, OpenMode::kRead));
  return file->ReadRest(limit);
}

Result<bool> FileSystem::Exists(const std::string& path) {
  auto info = Stat(path);
  if (info.ok()) {
    return true;
  }
  if (info.error().errno_value == ENOENT || info.error().errno_value == ENOTDIR) {
    return false;
  }
  return std::move(info.error());
}

Status FileSystem::MakeDirectories(const std::string& path) {
  IMASNAP_ASSIGN(const bool exists, Exists(path));
  if (exists) {
    return {};
  }
  const std::string parent = ParentDirectory(path);
  if (parent != path) {
    IMASNAP_RETURN_IF_ERROR(MakeDirectories(parent));
  }
  IMASNAP_RETURN_IF_ERROR(MakeDirectory(path));
  return SyncDirectory(parent);
}

Status FileSystem::WriteDurably(const std::string& path, std::string_view text, OpenMode mode) {
  const std::string temporary = path + ".tmp";
  const auto write = [&]() -> Status {
    IMASNAP_ASSIGN(const std::unique_ptr<File> file, OpenFile(temporary, mode));
    IMASNAP_RETURN_IF_ERROR(file->WriteAll(AsBytes(text)));
    IMASNAP_RETURN_IF_ERROR(file->SyncAll());
    IMASNAP_RETURN_IF_ERROR(file->Close());
    IMASNAP_RETURN_IF_ERROR(Rename(temporary, path));
    return SyncDirectory(ParentDirectory(path));
  };
  IMASNAP_ASSIGN(const bool stale, Exists(temporary));
  if (stale) {
    IMASNAP_RETURN_IF_ERROR(Unlink(temporary));
  }
  Status status = write();
  if (!status.ok()) {
    // Best effort: the name ends in .tmp and is removed at the next start too.
    if (Exists(temporary).ok()) {
      static_cast<void>(Unlink(temporary));
    }
  }
  return status;
}

std::string ParentDirectory(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status CopyRest(ByteSource& from, File* to) {
  // Most of it is never touched for a short list.
  const auto memory = std::make_unique_for_overwrite<std::byte[]>(kCopyChunk);
  const std::span<std::byte> buffer(memory.get(), kCopyChunk);
  while (true) {
    IMASNAP_ASSIGN(const size_t got, from.Read(buffer));
    if (got == 0) {
      return {};
    }
    IMASNAP_RETURN_IF_ERROR(to->WriteAll(buffer.first(got)));
  }
}

Result<std::unique_ptr<File>> Spool(FileSystem& fs, ByteSource& from) {
  IMASNAP_ASSIGN(std::unique_ptr<File> file, fs.OpenTemporary());
  IMASNAP_RETURN_IF_ERROR(CopyRest(from, file.get()));
  IMASNAP_ASSIGN(const uint64_t start, file->Seek(0));
  static_cast<void>(start);
  return file;
}

}  // namespace imasnap
