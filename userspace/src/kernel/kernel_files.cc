// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kernel_files.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <thread>

namespace imasnap {
namespace {

constexpr int kTries = 20;
constexpr std::chrono::milliseconds kBetweenTries{50};

}  // namespace

const char* BackendName(Backend backend) {
  switch (backend) {
    case Backend::kSnapshot:
      return "snapshot";
    case Backend::kStaging:
      return "staging";
    case Backend::kNone:
      break;
  }
  return "none";
}

// A segment on NFS can be stale, too.
bool HasHole(const Error& error) {
  return error.errno_value == ESTALE &&
         error.file.find("binary_runtime_measurements") != std::string::npos;
}

void SleepFor(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

KernelFiles::KernelFiles(FileSystem& fs, const std::string& securityfs, Pause pause)
    : fs_(fs), directory_(securityfs + "/ima"), pause_(std::move(pause)) {}

Result<BackendChoice> KernelFiles::ChooseBackend() const {
  IMASNAP_ASSIGN(const bool ima, fs_.Exists(directory_));
  if (!ima) {
    return BackendChoice{Backend::kNone,
                         fmt::format("{} does not exist: IMA is not built in, or securityfs is "
                                     "not mounted",
                                     directory_)};
  }
  IMASNAP_ASSIGN(const bool snapshot, fs_.Exists(snapshot_path()));
  if (snapshot) {
    return BackendChoice{Backend::kSnapshot, fmt::format("{} exists", snapshot_path())};
  }
  IMASNAP_ASSIGN(const bool staging, fs_.Exists(staged_path()));
  if (staging) {
    return BackendChoice{Backend::kStaging,
                         fmt::format("{} does not exist (the kernel has no CONFIG_IMA_SNAPSHOT), "
                                     "{} does",
                                     snapshot_path(), staged_path())};
  }
  return BackendChoice{Backend::kNone,
                       fmt::format("{} does not exist: the kernel has neither CONFIG_IMA_SNAPSHOT "
                                   "nor CONFIG_IMA_STAGING (Linux 7.2)",
                                   snapshot_path())};
}

Result<std::optional<uint64_t>> KernelFiles::Counter(const std::string& name) const {
  const std::string path = directory_ + "/" + name;
  auto file = fs_.OpenFile(path, OpenMode::kRead);
  if (!file.ok()) {
    if (file.error().errno_value == ENOENT) {
      return std::optional<uint64_t>();
    }
    return std::move(file.error());
  }
  // In one read: the kernel formats the value for each, and the next may have a digit more.
  std::array<std::byte, 64> buffer;
  IMASNAP_ASSIGN(const size_t size, (*file)->Read(buffer));
  std::string_view text = AsText(ByteView(buffer).first(size));
  if (text.ends_with('\n')) {
    text.remove_suffix(1);
  }
  const auto value = ParseDecimal(text);
  if (!value) {
    return FileError(ErrorCode::kMalformed, Cause::kNotDecimal, path, "is not a decimal number");
  }
  return value;
}

Result<std::unique_ptr<File>> KernelFiles::OpenPatiently(const std::string& path,
                                                         OpenMode mode) const {
  for (int tries = 1;; ++tries) {
    auto file = fs_.OpenFile(path, mode);
    if (file.ok() || file.error().errno_value != EBUSY) {
      return file;
    }
    if (tries == kTries) {
      const bool reading = mode == OpenMode::kRead;
      file.error().cause = reading ? Cause::kReadersExcluded : Cause::kBusy;
      file.error().message +=
          reading ? ": another program has a measurement list open for writing, to stage or delete "
                    "records; until it closes it, nothing can read a list"
                  : ": another program is reading a measurement list, and until it closes it, the "
                    "kernel stages and deletes nothing; end that program, or let it read from "
                    "'ima-snapshot mount' instead";
      return file;
    }
    pause_(kBetweenTries);
  }
}

Result<std::unique_ptr<File>> KernelFiles::OpenLive(const std::string& suffix) const {
  return OpenPatiently(live_path() + suffix, OpenMode::kRead);
}

Result<std::unique_ptr<File>> KernelFiles::OpenStaged() const {
  auto file = OpenPatiently(staged_path(), OpenMode::kRead);
  if (!file.ok() && file.error().errno_value == ENOENT) {
    return std::unique_ptr<File>();
  }
  return file;
}

Result<std::unique_ptr<File>> KernelFiles::OpenForStaging() const {
  return OpenPatiently(staged_path(), OpenMode::kReadWrite);
}

}  // namespace imasnap
