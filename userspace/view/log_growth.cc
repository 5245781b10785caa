// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/log_growth.h"

#include <fmt/format.h>

#include <algorithm>

#include "log/log_reader.h"
#include "log/record_format.h"

namespace imasnap {
namespace {

constexpr size_t kChunk = size_t{256} * 1024;
constexpr uint64_t kProgressEvery = 4096;
// The number of segments that are mapped. By default a process may have 65530 mappings
// (vm.max_map_count), and needs some for its memory.
constexpr size_t kMostMapped = 16384;

// Hashes everything that is read through it.
class HashingSource : public ByteSource {
 public:
  HashingSource(ByteSource& from, Hasher* hasher) : from_(from), hasher_(hasher) {}
  Result<size_t> Read(std::span<std::byte> out) override {
    IMASNAP_ASSIGN(const size_t n, from_.Read(out));
    hasher_->Update(ByteView(out).first(n));
    return n;
  }

 private:
  ByteSource& from_;
  Hasher* hasher_;
};

// Several files as one.
class PartsSource : public ByteSource {
 public:
  explicit PartsSource(const std::vector<LogPart>& parts) : parts_(parts) {}
  Result<size_t> Read(std::span<std::byte> out) override {
    while (true) {
      if (!file_) {
        if (next_ == parts_.size()) {
          return size_t{0};
        }
        IMASNAP_ASSIGN(file_, parts_[next_++].open());
      }
      IMASNAP_ASSIGN(const size_t n, file_->Read(out));
      if (n > 0) {
        return n;
      }
      file_.reset();
    }
  }

 private:
  const std::vector<LogPart>& parts_;
  size_t next_ = 0;
  std::unique_ptr<File> file_;
};

}  // namespace

Growth::Growth(FileSystem& fs, const Progress& progress, LogIndex known)
    : fs_(fs), progress_(progress), next_(std::move(known)) {}

Status Growth::CompareKnown(ByteSource& from, const std::string& name, uint64_t begin,
                            uint64_t end) {
  Bytes found(std::min<uint64_t>(kChunk, end - begin));
  Bytes known(found.size());
  for (uint64_t at = begin; at < end;) {
    IMASNAP_ASSIGN(const size_t n,
                   from.Read(std::span(found).first(std::min<uint64_t>(found.size(), end - at))));
    Error error = FileError(ErrorCode::kMismatch, Cause::kListChanged, name, "");
    error.offset = at - begin;
    if (n == 0) {
      error.message = "ends before records that were already read";
      return error;
    }
    IMASNAP_RETURN_IF_ERROR(next_.ReadRaw(at, std::span(known).first(n)));
    if (!std::equal(found.begin(), found.begin() + static_cast<ptrdiff_t>(n), known.begin())) {
      error.message = "differs from records that were already read";
      return error;
    }
    at += n;
  }
  return {};
}

// The record at `at`, where a segment ended, must not belong to another segment.
Status Growth::CheckChain(const std::string& name, uint64_t at) const {
  if (!before_ || at >= next_.end.raw) {
    return {};
  }
  IndexSource source(next_, at);
  LogReader reader(source, {}, name);
  IMASNAP_ASSIGN(const Record* const record, reader.Next());
  const FirstRecord first(*record);
  switch (LinkTo(*before_, first)) {
    case Link::kClosed:
    case Link::kUnchained:
      return {};
    case Link::kNoAggregate:
      return FileError(
          ErrorCode::kMismatch, Cause::kAggregateMissing, name,
          fmt::format("begins with {}, not with the aggregate that closed the segment before it",
                      Printable(first.event)));
    case Link::kOtherAggregate:
      break;
  }
  IMASNAP_ASSIGN(const Aggregate aggregate, *first.aggregate);
  return FileError(ErrorCode::kMismatch, Cause::kSegmentHash, name,
                   fmt::format("begins with the aggregate of attempt {}, whose Segment_Hash or "
                               "attempt is not that of the segment before it",
                               aggregate.attempt));
}

Status Growth::AddSegment(const LogPart& part) {
  IMASNAP_ASSIGN(std::shared_ptr<File> file, part.open());
  IMASNAP_ASSIGN(const FileInfo info, file->Stat());
  const auto mapped =
      next_.pieces.size() < kMostMapped ? file->Map(info.size) : Result<ByteView>(ByteView());
  const uint64_t begin = next_.kernel_begin;
  const uint64_t end = begin + info.size;
  Hasher hasher(HashAlg::kSha256);
  HashingSource source(*file, &hasher);
  const uint64_t known = std::min(end, next_.end.raw);
  IMASNAP_RETURN_IF_ERROR(CompareKnown(source, part.path, begin, known));
  // The segment replaces what was copied from the kernel.
  if (known > begin) {
    Piece& copy = next_.pieces.back();
    copy.at += known - begin;
    copy.begin = known;
  }
  const bool all = known == next_.end.raw;
  next_.pieces.insert(all ? next_.pieces.end() : next_.pieces.end() - 1,
                      {begin, end, file, 0, info.changed, mapped.ok() ? *mapped : ByteView()});
  if (all) {
    std::erase_if(next_.pieces, [](const Piece& piece) { return piece.begin == piece.end; });
    IMASNAP_RETURN_IF_ERROR(TakeRecords(source, part.path, known - begin, /*keep=*/false));
  }
  const Digest digest = hasher.Finish();
  if (part.info && !(part.info->sha256 == digest)) {
    return FileError(ErrorCode::kMismatch, Cause::kMetadataSha256, part.path,
                     "does not have the SHA-256 that its metadata records");
  }
  IMASNAP_RETURN_IF_ERROR(CheckChain(part.path, begin));
  before_ = part.info ? KeyOf(*part.info) : SegmentKey{std::nullopt, info.size, digest};
  next_.segments.push_back(part.segment);
  next_.kernel_begin = end;
  moved_ = true;
  return {};
}

Status Growth::AddKernel(const std::vector<LogPart>& parts) {
  PartsSource source(parts);
  const std::string& name = parts.back().path;
  const uint64_t known = next_.end.raw - next_.kernel_begin;
  IMASNAP_RETURN_IF_ERROR(CompareKnown(source, name, next_.kernel_begin, next_.end.raw));
  Status taken = TakeRecords(source, name, known, /*keep=*/true);
  if (!taken.ok()) {
    return ErrorOfPart(parts.back(), std::move(taken.error()));
  }
  return CheckChain(name, next_.kernel_begin);
}

Status Growth::TakeRecords(ByteSource& from, const std::string& name, uint64_t skipped, bool keep) {
  LogReader reader(from, {}, name);
  while (true) {
    auto next = reader.Next();
    if (!next.ok()) {
      Error error = std::move(next.error());
      if (skipped > 0) {
        // Only the offset is correct for the file.
        error.record.reset();
        error.offset = error.offset.value_or(0) + skipped;
      }
      return error;
    }
    const Record* const record = *next;
    if (record == nullptr) {
      break;
    }
    if (keep) {
      AppendBytes(record->raw, &unwritten_);
      if (unwritten_.size() >= kChunk) {
        IMASNAP_RETURN_IF_ERROR(WriteSpool());
      }
    }
    IMASNAP_RETURN_IF_ERROR(Index(*record));
    if (progress_ && next_.end.records % kProgressEvery == 0 && !progress_(next_.end.records)) {
      return MakeError(ErrorCode::kFailed, Cause::kCancelled, "cancelled while the log was read");
    }
  }
  return unwritten_.empty() ? Status() : WriteSpool();
}

Status Growth::Index(const Record& record) {
  const bool full =
      !next_.strides.empty() &&
      next_.strides.back().end.records - next_.strides.back().begin.records == kStrideRecords;
  if (next_.strides.empty() || full) {
    IMASNAP_RETURN_IF_ERROR(CloseStride());
    next_.strides.push_back({next_.end, next_.end, 0});
  } else if (open_.empty()) {
    // The last stride of the known log, which was not full.
    const Stride& last = next_.strides.back();
    open_.resize(last.end.raw - last.begin.raw);
    IMASNAP_RETURN_IF_ERROR(next_.ReadRaw(last.begin.raw, open_));
    if (Checksum(open_) != last.checksum) {
      return FileError(ErrorCode::kMismatch, Cause::kFileChanged, next_.pieces.back().file->path(),
                       "has changed since it was first read");
    }
  }
  ++next_.end.records;
  next_.end.raw += record.raw.size();
  next_.end.ascii += meter_.Measure(record);
  if (record.tmpl == nullptr && !next_.undecoded) {
    next_.undecoded = CheckDecoded(record, "ascii_runtime_measurements").error();
    next_.undecoded->record = next_.end.records;
    next_.undecoded->offset.reset();
  }
  AppendBytes(record.raw, &open_);
  next_.strides.back().end = next_.end;
  return {};
}

Status Growth::CloseStride() {
  if (!open_.empty()) {
    next_.strides.back().checksum = Checksum(open_);
    open_.clear();
  }
  return {};
}

// A new file for the kernel's records whenever segments were added, so that it never
// has more records than the kernel.
Status Growth::BeginSpool() {
  const bool has_copy = !next_.pieces.empty() && next_.pieces.back().end > next_.kernel_begin;
  if (has_copy && !moved_) {
    const Piece& copy = next_.pieces.back();
    spool_ = copy.file;
    // This overwrites what a failed attempt wrote there.
    IMASNAP_ASSIGN(const uint64_t at, spool_->Seek(copy.at + copy.end - copy.begin));
    static_cast<void>(at);
    return {};
  }
  IMASNAP_ASSIGN(spool_, fs_.OpenTemporary());
  const uint64_t begin = next_.kernel_begin;
  const uint64_t end = has_copy ? next_.pieces.back().end : begin;
  Bytes buffer(std::min<uint64_t>(kChunk, end - begin));
  for (uint64_t at = begin; at < end; at += buffer.size()) {
    buffer.resize(std::min<uint64_t>(buffer.size(), end - at));
    IMASNAP_RETURN_IF_ERROR(next_.ReadRaw(at, buffer));
    IMASNAP_RETURN_IF_ERROR(spool_->WriteAll(buffer));
  }
  if (has_copy) {
    next_.pieces.pop_back();
  }
  next_.pieces.push_back({begin, end, spool_, 0});
  return {};
}

Status Growth::WriteSpool() {
  if (!spool_) {
    IMASNAP_RETURN_IF_ERROR(BeginSpool());
  }
  IMASNAP_RETURN_IF_ERROR(spool_->WriteAll(unwritten_));
  next_.pieces.back().end += unwritten_.size();
  unwritten_.clear();
  return {};
}

// What the kernel's list begins with, and the whole log.
Status Growth::CheckHead() {
  next_.unique_head = false;
  if (next_.kernel_begin == next_.end.raw) {
    return {};
  }
  IndexSource source(next_, next_.kernel_begin);
  LogReader reader(source, {}, next_.pieces.back().file->path());
  IMASNAP_ASSIGN(const Record* const record, reader.Next());
  const bool first = next_.kernel_begin == 0 && IsBootAggregate(*record);
  next_.unique_head = first || IsAggregate(*record);
  return {};
}

Result<LogIndex> Growth::Finish() {
  if (!open_.empty()) {
    next_.strides.back().checksum = Checksum(open_);
  }
  IMASNAP_RETURN_IF_ERROR(CheckHead());
  return std::move(next_);
}

}  // namespace imasnap
