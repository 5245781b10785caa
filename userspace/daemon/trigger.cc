// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/trigger.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace imasnap::daemon {

std::string Limits::ToString() const {
  std::string text;
  const auto add = [&text](const std::string& limit) {
    text += (text.empty() ? "" : " or ") + limit;
  };
  if (max_records) {
    add(Counted(*max_records, "record"));
  }
  if (max_bytes) {
    add(SizeText(*max_bytes));
  }
  if (max_age) {
    add(fmt::format("{} s", std::chrono::duration_cast<std::chrono::seconds>(*max_age).count()));
  }
  return text.empty() ? "never" : text;
}

Limits LimitsOf(const Config& config) {
  Limits limits;
  limits.max_records = config.max_records;
  limits.max_bytes = config.max_bytes;
  if (config.max_age_seconds) {
    limits.max_age = std::chrono::seconds(*config.max_age_seconds);
  }
  limits.check_interval = std::chrono::seconds(config.check_interval_seconds);
  return limits;
}

const char* ReasonName(Reason reason) {
  switch (reason) {
    case Reason::kRecords:
      return "max_records";
    case Reason::kBytes:
      return "max_bytes";
    case Reason::kAge:
      return "max_age";
    case Reason::kNone:
      break;
  }
  return "none";
}

Decision Trigger::Decide(const Limits& limits, const Counts& counts, Time age) {
  if (counts.records < base_.records) {
    base_ = {};  // another program purged
  }
  const uint64_t records = counts.records - base_.records;
  const uint64_t bytes =
      counts.bytes.value_or(0) - std::min(counts.bytes.value_or(0), base_.bytes.value_or(0));
  const bool fresh = records > (base_.records == 0 ? idle_records_ : 0);
  Decision decision;
  decision.look_again = limits.check_interval;
  if (!fresh) {
    return decision;
  }
  if (limits.max_records && records >= *limits.max_records) {
    decision.reason = Reason::kRecords;
  } else if (limits.max_bytes && bytes >= *limits.max_bytes) {
    decision.reason = Reason::kBytes;
  } else if (limits.max_age && age >= *limits.max_age) {
    decision.reason = Reason::kAge;
  } else if (limits.max_age) {
    decision.look_again = std::min(decision.look_again, *limits.max_age - age);
  }
  return decision;
}

}  // namespace imasnap::daemon
