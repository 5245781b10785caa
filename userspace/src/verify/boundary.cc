// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/boundary.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "log/log_reader.h"
#include "store/continuity.h"

namespace imasnap {
namespace {

// Nothing if the part is empty or damaged at its beginning.
Result<std::optional<FirstRecord>> ReadFirst(const LogPart& part) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, part.open());
  LogReader reader(*file, {}, part.path);
  auto record = reader.Next();
  if (!record.ok() && record.error().code != ErrorCode::kMalformed) {
    return std::move(record.error());
  }
  if (!record.ok() || *record == nullptr) {
    return std::optional<FirstRecord>();
  }
  return std::optional<FirstRecord>(**record);
}

struct Difference {
  Cause cause;
  std::string state;
  std::string log;
  std::string message;
};

// What both sides know must be the same.
std::optional<Difference> FindDifference(const LogIdentity& state, const LogIdentity& log) {
  const auto differ = [](const std::string& a, const std::string& b) {
    return !a.empty() && !b.empty() && a != b;
  };
  if (differ(state.machine, log.machine)) {
    return Difference{Cause::kOtherMachine, Printable(state.machine), Printable(log.machine),
                      fmt::format("is of machine {}, but the log is of machine {}",
                                  Printable(state.machine), Printable(log.machine))};
  }
  if (state.reset_count && log.reset_count && *state.reset_count != *log.reset_count) {
    return Difference{
        Cause::kOtherBoot, std::to_string(*state.reset_count), std::to_string(*log.reset_count),
        fmt::format("is of another boot: its reset count is {}, that of the log is {}",
                    *state.reset_count, *log.reset_count)};
  }
  if (differ(state.boot, log.boot)) {
    return Difference{Cause::kOtherBoot, Printable(state.boot), Printable(log.boot),
                      fmt::format("is of boot {}, but the log is of boot {}", Printable(state.boot),
                                  Printable(log.boot))};
  }
  if (differ(state.created, log.created)) {
    return Difference{
        Cause::kOtherSession, Printable(state.created), Printable(log.created),
        fmt::format("is of a session created at {}, but that of the log was created at {}",
                    Printable(state.created), Printable(log.created))};
  }
  return std::nullopt;
}

}  // namespace

Result<Boundary> FindBoundary(const std::vector<LogPart>& parts, const Checkpoint& from,
                              const LogIdentity& identity, const std::string& state_file) {
  if (const auto difference = FindDifference(from.identity, identity)) {
    Error error = StateRefused(difference->cause, state_file, difference->message);
    error.expected = difference->log;
    error.found = difference->state;
    return error;
  }
  const LogPart& front = parts.front();
  if (!front.missing && !front.discarded && !front.missing_before) {
    IMASNAP_ASSIGN(const std::optional<FirstRecord> first, ReadFirst(front));
    if (first && from.first_record.size != 0 && !(first->sha256 == from.first_record)) {
      return StateRefused(Cause::kOtherLog, state_file,
                          fmt::format("is of another boot: {} does not begin with the first record "
                                      "of the log that was verified",
                                      front.path));
    }
  }
  if (from.records == 0) {
    return Boundary{};
  }
  const auto after = [&from](const LogPart& part) {
    return part.segment == 0 || part.segment > from.segment;
  };
  const auto found = std::ranges::find_if(parts, after);
  if (found == parts.end()) {
    return StateRefused(
        Cause::kStateAhead, state_file,
        fmt::format("is ahead of the log: the log ends with segment {}, the state with segment {}, "
                    "record {}",
                    SegmentName(parts.back().segment), SegmentName(from.segment), from.records));
  }
  const auto index = static_cast<size_t>(found - parts.begin());
  if (from.attempt == 0) {
    const bool same = index > 0 && parts[index - 1].segment == from.segment &&
                      parts[index - 1].info && parts[index - 1].info->sha256 == from.segment_sha256;
    if (same) {
      return Boundary{index};
    }
    Error error = StateRefused(Cause::kStateSegment, state_file,
                               fmt::format("ends with segment {}, which the log does not have",
                                           SegmentName(from.segment)));
    error.segment = from.segment;
    return error;
  }
  if (found->missing || found->missing_before) {
    return Boundary{index, false};
  }
  IMASNAP_ASSIGN(const std::optional<FirstRecord> first, ReadFirst(*found));
  const SegmentKey last = {
      .attempt = from.attempt, .sha256 = from.segment_sha256, .aggregate = from.aggregate};
  if (!first || LinkTo(last, *first) == Link::kClosed) {
    const bool after_it = index > 0 && parts[index - 1].segment == from.segment;
    return Boundary{index, first.has_value() && after_it};
  }
  Error error =
      StateRefused(Cause::kStateAggregate, state_file,
                   fmt::format("is of another boot, or ahead of the log: it ends before the "
                               "aggregate of attempt {}, record {}, but {} begins with {}{}",
                               from.attempt, from.records + 1, found->path,
                               first->aggregate ? "another " : "", Printable(first->event)));
  error.expected = fmt::format("{} of attempt {}", kAggregateEvent, from.attempt);
  error.found = Printable(first->event);
  return error;
}

}  // namespace imasnap
