// SPDX-License-Identifier: GPL-2.0-or-later
//
// Decides when a snapshot is due, only from counters, age and configuration.
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
  std::optional<uint64_t> bytes;  // nothing: this kernel has no such counter
};

enum class Reason { kNone, kRecords, kBytes, kAge };

const char* ReasonName(Reason reason);  // the key of the configuration

struct Decision {
  Reason reason = Reason::kNone;  // kNone: nothing is due
  Time look_again{};              // after this time, if nothing is due
};

class Trigger {
 public:
  // `idle_records`: the number of records in a list without new records; 1 if a purge
  // leaves an aggregate.
  explicit Trigger(uint64_t idle_records = 1) : idle_records_(idle_records) {}

  // A snapshot was taken. `left`: the records that it left in memory (mode "mark");
  // zero after a purge.
  void Taken(const Counts& left) { base_ = left; }

  // `age`: since the last snapshot.
  Decision Decide(const Limits& limits, const Counts& counts, Time age);

 private:
  uint64_t idle_records_;
  Counts base_;
};

}  // namespace imasnap::daemon

#endif  // IMASNAP_DAEMON_TRIGGER_H_
