// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kernel_log.h"

#include <fmt/format.h>

#include <cerrno>
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

bool HasHole(const Error& error) { return error.errno_value == ESTALE; }

void SleepFor(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

KernelLog::KernelLog(FileSystem& fs, const std::string& securityfs, Pause pause)
    : fs_(fs), directory_(securityfs + "/ima"), pause_(std::move(pause)) {}

Result<BackendChoice> KernelLog::ChooseBackend() const {
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

Result<std::optional<uint64_t>> KernelLog::Counter(const std::string& name) const {
  const std::string path = directory_ + "/" + name;
  auto text = fs_.ReadFile(path, 64);
  if (!text.ok()) {
    if (text.error().errno_value == ENOENT) {
      return std::optional<uint64_t>();
    }
    return std::move(text.error());
  }
  if (text->ends_with('\n')) {
    text->pop_back();
  }
  const auto value = ParseDecimal(*text);
  if (!value) {
    return FileError(ErrorCode::kMalformed, path, "does not hold a number");
  }
  return value;
}

Result<std::unique_ptr<File>> KernelLog::OpenPatiently(const std::string& path,
                                                       OpenMode mode) const {
  for (int tries = 1;; ++tries) {
    auto file = fs_.OpenFile(path, mode);
    if (file.ok() || file.error().errno_value != EBUSY) {
      return file;
    }
    if (tries == kTries) {
      file.error().message +=
          mode == OpenMode::kRead
              ? ": another program has opened a measurement list for writing, to stage or delete "
                "records, and so keeps readers out"
              : ": another program has a measurement list open, and the kernel stages and deletes "
                "nothing while one is read; end that reader, or let it read what 'ima-snapshot "
                "mount' shows";
      return file;
    }
    pause_(kBetweenTries);
  }
}

Result<std::unique_ptr<File>> KernelLog::OpenLive() const {
  return OpenPatiently(live_path(), OpenMode::kRead);
}

Result<std::unique_ptr<File>> KernelLog::OpenStaged() const {
  auto file = OpenPatiently(staged_path(), OpenMode::kRead);
  if (!file.ok() && file.error().errno_value == ENOENT) {
    return std::unique_ptr<File>();
  }
  return file;
}

Result<std::unique_ptr<File>> KernelLog::OpenForStaging() const {
  return OpenPatiently(staged_path(), OpenMode::kReadWrite);
}

}  // namespace imasnap
