// SPDX-License-Identifier: GPL-2.0-or-later
//
// "ima-snapshot: 120000 records" on a terminal, for work that takes longer than a
// second; rewritten in place and erased at the end.
#ifndef IMASNAP_CLI_TERMINAL_PROGRESS_H_
#define IMASNAP_CLI_TERMINAL_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <ostream>

namespace imasnap::cli {

class TerminalProgress {
 public:
  // Without a terminal nothing is shown.
  explicit TerminalProgress(std::ostream* terminal);
  TerminalProgress(const TerminalProgress&) = delete;
  TerminalProgress& operator=(const TerminalProgress&) = delete;
  ~TerminalProgress();

  // Shows the number if the last one was shown long enough ago. Returns true.
  bool Show(uint64_t records);

 private:
  using Clock = std::chrono::steady_clock;

  std::ostream* terminal_;
  Clock::time_point next_;
  bool shown_ = false;
};

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_TERMINAL_PROGRESS_H_
