// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>

#include "log/aggregate.h"
#include "log/log_reader.h"
#include "log/record_format.h"
#include "log/replay.h"
#include "replay_record.h"
#include "targets.h"

namespace imasnap::fuzz {
namespace {

// Gives at most `step` bytes a read, so that records arrive in pieces.
class SteppingSource : public ByteSource {
 public:
  SteppingSource(ByteView bytes, size_t step) : source_(bytes), step_(step) {}
  Result<size_t> Read(std::span<std::byte> out) override {
    return source_.Read(out.first(std::min(out.size(), step_)));
  }

 private:
  SpanSource source_;
  const size_t step_;
};

struct Way {
  LogFormat format;
  size_t step = 0;
};

// Bits 0 and 1: the header's algorithm; bit 2: byte order; bit 3: small reads.
Way WayOf(std::byte choice) {
  constexpr std::array kHeaders = {HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSha384,
                                   HashAlg::kSha512};
  const auto bits = std::to_integer<unsigned>(choice);
  return {.format = {.header_alg = kHeaders[bits & 3U],
                     .order = (bits & 4U) != 0 ? std::optional(ByteOrder::kBig) : std::nullopt},
          .step = (bits & 8U) != 0 ? size_t{7} : size_t{1} << 20};
}

// What is only done with records that were read strictly.
Status UseStrict(const Record& record, const Way& way, Hasher* hasher, Replay* replay) {
  Bytes binary;
  AppendBinary(record, record.digest, &binary);
  IMASNAP_RETURN_IF_ERROR(Require(std::ranges::equal(binary, record.raw),
                                  "a record written with its own digest is the record"));
  if (record.tmpl != nullptr) {
    std::string line;
    AppendAscii(record, record.digest, &line);
    IMASNAP_RETURN_IF_ERROR(Require(line.ends_with('\n'), "a line ends"));
  }
  if (!record.IsViolation()) {
    const Digest digest = TemplateDigest(record, hasher);
    const Status added = testing::ReplayRecord(replay, record, way.format.header_alg);
    IMASNAP_RETURN_IF_ERROR(
        Require(added.ok() == std::ranges::equal(digest.view(), record.digest),
                "a record is replayed if and only if its digest is that of its data"));
  }
  if (IsAggregate(record)) {
    static_cast<void>(AggregateFromRecord(record));
  }
  return {};
}

Status ReadThrough(ByteView log, const Way& way, LogReader::Check check) {
  SteppingSource source(log, way.step);
  LogReader reader(source, way.format, "log", check);
  Hasher hasher(way.format.header_alg);
  Replay replay({{.alg = HashAlg::kSha256}});
  uint64_t records = 0;
  size_t done = 0;
  while (true) {
    auto next = reader.Next();
    if (!next.ok()) {
      const Error& error = next.error();
      IMASNAP_RETURN_IF_ERROR(
          Require(error.record == records + 1 && error.offset >= done && error.offset <= log.size(),
                  "an error is at the record after the last good one"));
      break;
    }
    if (*next == nullptr) {
      IMASNAP_RETURN_IF_ERROR(Require(done == log.size(), "a log without an error is read whole"));
      break;
    }
    const Record& record = **next;
    ++records;
    IMASNAP_RETURN_IF_ERROR(
        Require(std::ranges::equal(record.raw, log.subspan(done, record.raw.size())),
                "the records put together are the log"));
    done += record.raw.size();
    if (check == LogReader::Check::kStrict) {
      IMASNAP_RETURN_IF_ERROR(UseStrict(record, way, &hasher, &replay));
    }
  }
  return Require(reader.records() == records && reader.bytes() == done,
                 "the reader counts what it returned");
}

}  // namespace

Status Log(ByteView input) {
  if (input.empty()) {
    return {};
  }
  const Way way = WayOf(input[0]);
  const ByteView log = input.subspan(1);
  IMASNAP_RETURN_IF_ERROR(ReadThrough(log, way, LogReader::Check::kFraming));
  return ReadThrough(log, way, LogReader::Check::kStrict);
}

}  // namespace imasnap::fuzz
