// SPDX-License-Identifier: GPL-2.0-or-later
//
// The files of the kernel below /sys/kernel/security/ima.
#ifndef IMASNAP_KERNEL_KERNEL_FILES_H_
#define IMASNAP_KERNEL_KERNEL_FILES_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/result.h"

namespace imasnap {

inline constexpr const char* kDefaultSecurityFs = "/sys/kernel/security";

// What the kernel offers for taking records out of its memory.
enum class Backend {
  kSnapshot,  // the snapshot file
  kStaging,   // upstream's *_staged files alone (Linux 7.2, CONFIG_IMA_STAGING)
  kNone,
};

const char* BackendName(Backend backend);  // "snapshot", "staging", "none"

struct BackendChoice {
  Backend backend = Backend::kNone;
  std::string why;
};

// Whether the kernel removed records that the reader of a list had not read (ESTALE,
// once). The list has to be read again from its beginning.
bool HasHole(const Error& error);

inline constexpr int kReadTries = 3;

// Calls `read`, which opens a list and reads it, again if the list was cut meanwhile.
// After kReadTries the error says so.
template <typename Read>
auto ReadAgainIfCut(const Read& read) -> decltype(read()) {
  for (int tries = 1;; ++tries) {
    auto result = read();
    if (result.ok() || !HasHole(result.error())) {
      return result;
    }
    if (tries == kReadTries) {
      result.error().cause = Cause::kListChanged;
      result.error().message += ": records are removed from the list while it is read";
      return result;
    }
  }
}

// Waits between two attempts.
using Pause = std::function<void(std::chrono::milliseconds)>;
void SleepFor(std::chrono::milliseconds time);

class KernelFiles {
 public:
  // `securityfs` is the mount point; IMA's files are in its directory ima.
  KernelFiles(FileSystem& fs, const std::string& securityfs, Pause pause = SleepFor);

  std::string snapshot_path() const { return directory_ + "/snapshot"; }
  std::string live_path() const { return directory_ + "/binary_runtime_measurements"; }
  std::string staged_path() const { return live_path() + "_staged"; }

  Result<BackendChoice> ChooseBackend() const;
  // A file of one decimal number; nothing when the kernel has no such file.
  Result<std::optional<uint64_t>> Counter(const std::string& name) const;
  // The list in memory, from its beginning, with SHA-1 headers, or in the file with this
  // suffix. On a kernel with staging, readers of a list and a writer to one exclude each
  // other, so this and the next two functions retry for about a second.
  Result<std::unique_ptr<File>> OpenLive(const std::string& suffix = "") const;
  // The staged records, for reading; null if the kernel has no staging.
  Result<std::unique_ptr<File>> OpenStaged() const;
  // The same for staging, reading and deleting. While it is open, no other program can
  // open any of the lists.
  Result<std::unique_ptr<File>> OpenForStaging() const;
  FileSystem& fs() const { return fs_; }

 private:
  Result<std::unique_ptr<File>> OpenPatiently(const std::string& path, OpenMode mode) const;

  FileSystem& fs_;
  std::string directory_;
  Pause pause_;
};

}  // namespace imasnap

#endif  // IMASNAP_KERNEL_KERNEL_FILES_H_
