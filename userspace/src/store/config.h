// SPDX-License-Identifier: GPL-2.0-or-later
//
// The configuration, ima-snapshot.conf(5): TOML, with drop-ins.
#ifndef IMASNAP_STORE_CONFIG_H_
#define IMASNAP_STORE_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/result.h"

namespace imasnap {

inline constexpr const char* kDefaultConfigFile = "/etc/ima-snapshot.conf";

enum class SnapshotMode { kPurge, kMark };
enum class Discard { kNever, kVerified };

struct Config {
  std::string store = "/var/lib/ima-snapshot";
  std::string lock_file = "/run/lock/ima-snapshot.lock";
  SnapshotMode mode = SnapshotMode::kPurge;
  // When the daemon takes a snapshot; a limit that is off (0) has no value.
  std::optional<uint64_t> max_records = 10000;
  std::optional<uint64_t> max_bytes = uint64_t{4} << 20;
  std::optional<uint64_t> max_age_seconds;
  // How often the daemon reads the kernel's counters.
  uint64_t check_interval_seconds = 5;
  // Where the daemon mounts the view of the whole log; if empty, it does not.
  std::string mount;
  // Bytes that must stay free in the store's file system.
  uint64_t min_free_space = 16U << 20;
  // The number of sessions that are kept, including the current one.
  uint64_t keep_boots = 2;
  Discard discard = Discard::kNever;
  // Whether `take --final` takes a snapshot.
  bool final_snapshot = true;
  bool allow_volatile = false;
  // Whether a store may begin after records that were purged elsewhere.
  bool allow_gap = false;

  bool operator==(const Config&) const = default;
};

// Reads `file`, then the files *.conf of `<file>.d` in the order of their names; a
// later value replaces an earlier one. A missing directory is not an error, nor is a
// missing `file` unless it is `required`. Refuses a file that `owner` (root, except in
// tests) does not own or that others can write, an unknown key, and a value of the
// wrong type or out of range. Errors name file, line and key.
Result<Config> LoadConfig(FileSystem& fs, const std::string& file, bool required,
                          uint32_t owner = 0);

// The store that --store gives, as an absolute path. `given` is not empty.
Result<std::string> StoreOption(const std::string& given);

}  // namespace imasnap

#endif  // IMASNAP_STORE_CONFIG_H_
