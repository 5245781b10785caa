// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where verification goes on from a state, and where the next one may.
#include <fmt/format.h>

#include <algorithm>

#include "store/store.h"
#include "verify/boundary.h"
#include "verify/verify_pass.h"

namespace imasnap {
namespace {

std::string KnownOr(const std::string& value, const std::string& other) {
  return value.empty() ? other : value;
}

}  // namespace

// Notes a finding when the part is not all there.
bool VerifyPass::CheckPresent() {
  if (part().missing_before) {
    Finding finding =
        At(part(), fmt::format("segment {} is missing", SegmentName(*part().missing_before)));
    finding.segment = *part().missing_before;
    finding.expected = fmt::format("segment {}", SegmentName(finding.segment));
    finding.found = part().segment == 0 ? std::string("the kernel's list")
                                        : fmt::format("segment {}", SegmentName(part().segment));
    Find(std::move(finding));
    return false;
  }
  if (part().missing && !part().discarded) {
    Finding finding = At(part(), "the segment is missing, only its metadata is there");
    finding.expected = fmt::format("segment {}", SegmentName(part().segment));
    finding.found = "its metadata alone";
    Find(std::move(finding));
    return false;
  }
  return true;
}

Status VerifyPass::Resume(size_t* first) {
  const Checkpoint& from = *options_.from;
  IMASNAP_ASSIGN(const Boundary boundary,
                 FindBoundary(parts_, from, options_.identity, options_.state_file));
  *first = boundary.part;
  boundary_ = covered_ = from;
  if (from.records == 0) {
    return {};
  }
  for (index_ = 0; index_ < *first; ++index_) {
    if (!CheckPresent()) {
      return {};
    }
    report_.segments += part().segment != 0 ? 1 : 0;
  }
  if (*first == 0 || parts_[*first - 1].segment != from.segment) {
    Finding finding = At(part(), fmt::format("segment {}, which was verified before, is missing",
                                             SegmentName(from.segment)));
    finding.segment = from.segment;
    finding.expected = fmt::format("segment {}", SegmentName(from.segment));
    finding.found = *first == 0
                        ? std::string("nothing")
                        : fmt::format("segment {}", SegmentName(parts_[*first - 1].segment));
    Find(std::move(finding));
    return {};
  }
  resumed_at_ = *first;
  std::vector<std::map<uint32_t, Digest>> pcrs;
  for (const Checkpoint::BankState& state : from.banks) {
    pcrs.push_back(state.pcrs);
  }
  replay_.Resume(pcrs, from.records, from.violations);
  report_.records = report_.records_before = from.records;
  report_.aggregates = from.aggregates;
  if (from.attempt != 0) {
    last_attempt_ = from.attempt - 1;
  } else if (from.aggregates != 0) {
    last_attempt_ = from.aggregates;  // attempts count from 1
  }
  previous_sha256_ = from.segment_sha256;
  MatchFixed();
  return MatchQuoted(std::nullopt);
}

// Before the boundary moves on, and in the end.
void VerifyPass::NoteCovered() {
  if (report_.matched_record && *report_.matched_record >= boundary_.records) {
    covered_ = boundary_;
  }
}

// The first record of a part was read and is not yet in the replay.
Status VerifyPass::NoteBoundary(const Record& record) {
  NoteCovered();
  Checkpoint next;
  next.identity = options_.identity;
  if (options_.from != nullptr) {
    LogIdentity& identity = next.identity;
    const LogIdentity& known = options_.from->identity;
    identity.machine = KnownOr(identity.machine, known.machine);
    identity.boot = KnownOr(identity.boot, known.boot);
    identity.created = KnownOr(identity.created, known.created);
    identity.reset_count = identity.reset_count ? identity.reset_count : known.reset_count;
    next.quotes = options_.from->quotes;
  }
  if (report_.records == 0) {
    next.first_record = HashBytes(HashAlg::kSha256, record.raw);
    boundary_ = std::move(next);
    return {};
  }
  next.first_record = boundary_.first_record;
  next.records = report_.records;
  next.segment = parts_[index_ - 1].segment;
  next.segment_sha256 = *previous_sha256_;
  next.aggregates = report_.aggregates;
  next.violations = replay_.violations();
  if (IsAggregate(record)) {
    // OnAggregate() counted it; it is behind the boundary.
    --next.aggregates;
    next.attempt = *last_attempt_;
    next.aggregate = HashBytes(HashAlg::kSha256, record.template_data);
  }
  for (size_t i = 0; i < replay_.banks(); ++i) {
    Checkpoint::BankState state{replay_.bank(i), {}};
    for (uint32_t pcr : replay_.UsedPcrs()) {
      state.pcrs.emplace(pcr, replay_.Value(i, pcr));
    }
    next.banks.push_back(std::move(state));
  }
  boundary_ = std::move(next);
  return {};
}

}  // namespace imasnap
