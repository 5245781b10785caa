// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/terminal_progress.h"

#include <fmt/format.h>

namespace imasnap::cli {
namespace {

constexpr std::chrono::seconds kFirst(1);
constexpr std::chrono::milliseconds kBetween(100);

}  // namespace

TerminalProgress::TerminalProgress(std::ostream* terminal)
    : terminal_(terminal), next_(Clock::now() + kFirst) {}

TerminalProgress::~TerminalProgress() {
  if (shown_) {
    *terminal_ << "\r\033[K" << std::flush;
  }
}

bool TerminalProgress::Show(uint64_t records) {
  if (terminal_ != nullptr && Clock::now() >= next_) {
    *terminal_ << fmt::format("\rima-snapshot: {} records", records) << std::flush;
    next_ = Clock::now() + kBetween;
    shown_ = true;
  }
  return true;
}

}  // namespace imasnap::cli
