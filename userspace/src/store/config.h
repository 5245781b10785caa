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
  // When the daemon takes a snapshot; nothing where a limit is off (0).
  std::optional<uint64_t> max_records = 10000;
  std::optional<uint64_t> max_bytes = uint64_t{4} << 20;
  std::optional<uint64_t> max_age_seconds;
  // How often the daemon looks at the kernel's counters.
  uint64_t check_interval_seconds = 5;
  // Where the daemon serves the view of the whole log; empty: nowhere.
  std::string mount;
  // Bytes that must stay free in the store's file system.
  uint64_t min_free_space = 16U << 20;
  // Boot sessions kept, the current one included.
  uint64_t keep_boots = 2;
  Discard discard = Discard::kNever;
  bool allow_volatile = false;
  // Whether a store may begin after records that were purged elsewhere.
  bool allow_gap = false;

  bool operator==(const Config&) const = default;
};

// Reads `file`, then the files *.conf of `<file>.d` in the order of their
// names; a later value replaces an earlier one. An absent `file` (unless
// `required`) or directory is no error. Refused, with file and key named: a
// file that `owner` (root, but in tests) does not own or that others may write,
// an unknown key, a value of the wrong type or out of range.
Result<Config> LoadConfig(FileSystem& fs, const std::string& file, bool required,
                          uint32_t owner = 0);

// The store that --store gives, which is not empty, from the present directory where
// it is relative.
Result<std::string> StoreOption(const std::string& given);

}  // namespace imasnap

#endif  // IMASNAP_STORE_CONFIG_H_
