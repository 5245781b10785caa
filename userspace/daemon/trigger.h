// SPDX-License-Identifier: GPL-2.0-or-later
//
// When a snapshot is due: from counters, age and configuration alone.
#ifndef IMASNAP_DAEMON_TRIGGER_H_
#define IMASNAP_DAEMON_TRIGGER_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "store/config.h"

namespace imasnap::daemon {

// A moment since an arbitrary one, or a span; never goes back.
using Time = std::chrono::microseconds;

struct Limits {
  std::optional<uint64_t> max_records;
  std::optional<uint64_t> max_bytes;
  std::optional<Time> max_age;
  Time check_interval = std::chrono::seconds(5);

  bool any() const { return max_records || max_bytes || max_age; }
  // "10000 records, 4194304 bytes or 43200 s"; "never" without limits.
  std::string ToString() const;
};

Limits LimitsOf(const Config& config);

// What the kernel has in memory.
struct Counts {
  uint64_t records = 0;
  std::optional<uint64_t> bytes;  // nothing: this kernel does not tell
};

enum class Reason { kNone, kRecords, kBytes, kAge };

const char* ReasonName(Reason reason);  // the key of the configuration

struct Decision {
  Reason reason = Reason::kNone;  // kNone: nothing is due
  Time look_again{};              // after this long, when nothing is due
};

class Trigger {
 public:
  // `idle_records`: how many records a list has in which nothing is new, that
  // is 1 where a purge leaves an aggregate.
  explicit Trigger(uint64_t idle_records = 1) : idle_records_(idle_records) {}

  // A snapshot was taken. `left`: what it left in memory although it is done
  // with it (mode "mark"); zero after a purge.
  void Taken(const Counts& left) { base_ = left; }

  // `age`: since the last snapshot.
  Decision Decide(const Limits& limits, const Counts& counts, Time age);

 private:
  uint64_t idle_records_;
  Counts base_;
};

}  // namespace imasnap::daemon

#endif  // IMASNAP_DAEMON_TRIGGER_H_
