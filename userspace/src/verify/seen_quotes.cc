// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/seen_quotes.h"

#include <fmt/format.h>

#include <utility>

namespace imasnap {

Status CheckNotReplayed(const Checkpoint& state, const QuoteToCheck& quote) {
  const auto known = state.quotes.find(quote.ak);
  if (known == state.quotes.end()) {
    return {};
  }
  const QuoteSeen& seen = known->second;
  const QuoteSeen& said = quote.said;
  if (said.reset_count != seen.reset_count && quote.ignore_reset_count) {
    return {};  // the clocks of two boots cannot be compared
  }
  if (said.reset_count > seen.reset_count) {
    return StateRefused(Cause::kStateOld, quote.state_file,
                        fmt::format("is of an earlier boot: the last verified quote of this key "
                                    "has reset count {}, but {} has {}",
                                    seen.reset_count, quote.file, said.reset_count));
  }
  Error error = FileError(ErrorCode::kMismatch, Cause::kQuoteReplayed, quote.file, "");
  if (said.reset_count < seen.reset_count) {
    error.expected = std::to_string(seen.reset_count);
    error.found = std::to_string(said.reset_count);
    error.message = fmt::format(
        "replayed quote: its reset count is {}, but that of the last verified quote of this key is "
        "{} (after TPM2_Clear, which sets the count to zero, give --ignore-reset-count)",
        error.found, error.expected);
    return error;
  }
  if (std::pair(said.restart_count, said.clock) < std::pair(seen.restart_count, seen.clock)) {
    error.expected =
        fmt::format("at least restart count {}, clock {}", seen.restart_count, seen.clock);
    error.found = fmt::format("restart count {}, clock {}", said.restart_count, said.clock);
    error.message = fmt::format(
        "replayed quote: it was made before the last verified quote of this key: it has {}, but "
        "must have {}",
        error.found, error.expected);
    return error;
  }
  return {};
}

}  // namespace imasnap
