// SPDX-License-Identifier: GPL-2.0-or-later
#include "seen_quotes.h"

#include <fmt/format.h>

#include <utility>

namespace imasnap {

Status CheckNotReplayed(const Checkpoint& state, const std::string& ak, const QuoteSeen& quote,
                        const std::string& file) {
  const auto known = state.quotes.find(ak);
  if (known == state.quotes.end()) {
    return {};
  }
  const QuoteSeen& seen = known->second;
  Error error = FileError(ErrorCode::kMismatch, file, "");
  if (quote.reset_count != seen.reset_count) {
    error.expected = std::to_string(seen.reset_count);
    error.found = std::to_string(quote.reset_count);
    error.message = fmt::format(
        "replayed quote: it is of the boot with reset count {}, the last one of this key that was "
        "verified is of {}",
        error.found, error.expected);
    return error;
  }
  if (std::pair(quote.restart_count, quote.clock) < std::pair(seen.restart_count, seen.clock)) {
    error.expected =
        fmt::format("at least restart count {}, clock {}", seen.restart_count, seen.clock);
    error.found = fmt::format("restart count {}, clock {}", quote.restart_count, quote.clock);
    error.message = fmt::format(
        "replayed quote: it was made before the last one of this key that was verified: {} where "
        "it must be {}",
        error.found, error.expected);
    return error;
  }
  return {};
}

}  // namespace imasnap
