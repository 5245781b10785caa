// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/checkpoint_tracker.h"

#include <fmt/format.h>

#include <utility>

#include "store/store.h"
#include "verify/boundary.h"

namespace imasnap {
namespace {

std::string KnownOr(const std::string& value, const std::string& other) {
  return value.empty() ? other : value;
}

// What `from` knows of a log, parts of which may be discarded.
LogIdentity Merge(LogIdentity identity, const LogIdentity& from) {
  identity.machine = KnownOr(identity.machine, from.machine);
  identity.boot = KnownOr(identity.boot, from.boot);
  identity.created = KnownOr(identity.created, from.created);
  identity.reset_count = identity.reset_count ? identity.reset_count : from.reset_count;
  return identity;
}

}  // namespace

Result<size_t> CheckpointTracker::Resume(const std::vector<LogPart>& parts, RecordChain* chain) {
  if (options_.from == nullptr) {
    return size_t{0};
  }
  const Checkpoint& from = *options_.from;
  IMASNAP_ASSIGN(const Boundary boundary,
                 FindBoundary(parts, from, options_.identity, options_.state_file));
  const size_t first = boundary.part;
  boundary_ = matched_checkpoint_ = from;
  if (from.records == 0 || !chain->Skip(first)) {
    return first;
  }
  if (first == 0 || parts[first - 1].segment != from.segment) {
    Finding finding = AtPart(parts[first], Cause::kSegmentMissing,
                             fmt::format("segment {}, which was verified before, is missing",
                                         SegmentName(from.segment)));
    finding.segment = from.segment;
    finding.expected = fmt::format("segment {}", SegmentName(from.segment));
    finding.found = first == 0 ? std::string("nothing")
                               : fmt::format("segment {}", SegmentName(parts[first - 1].segment));
    chain->AddFinding(std::move(finding));
    return first;
  }
  chain->Resume(from);
  return first;
}

void CheckpointTracker::AddBoundary(const RecordChain& chain, const Record& record,
                                    std::optional<uint64_t> match) {
  KeepIfMatched(match);
  Checkpoint next = chain.CheckpointBefore(record);
  next.identity = options_.identity;
  if (options_.from != nullptr) {
    next.identity = Merge(options_.identity, options_.from->identity);
    next.quotes = options_.from->quotes;
  }
  next.first_record =
      next.records == 0 ? HashBytes(HashAlg::kSha256, record.raw) : boundary_.first_record;
  boundary_ = std::move(next);
}

const Checkpoint& CheckpointTracker::LastMatched(uint64_t match) {
  KeepIfMatched(match);
  return matched_checkpoint_;
}

void CheckpointTracker::KeepIfMatched(std::optional<uint64_t> match) {
  if (match && *match >= boundary_.records) {
    matched_checkpoint_ = boundary_;
  }
}

}  // namespace imasnap
