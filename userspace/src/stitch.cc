// SPDX-License-Identifier: GPL-2.0-or-later
#include "stitch.h"

#include <fmt/format.h>

#include "log_reader.h"
#include "record_format.h"

namespace imasnap {
namespace {

constexpr size_t kChunk = size_t{256} * 1024;
constexpr uint64_t kProgressStep = 256;  // records

// Gathers small pieces into chunks for the sink.
class Output {
 public:
  explicit Output(const ByteSink& sink) : sink_(sink) { buffer_.reserve(2 * kChunk); }
  Bytes* bytes() { return &buffer_; }
  Status FlushIfFull() {
    if (buffer_.size() < kChunk) {
      return {};
    }
    return Flush();
  }
  Status Flush() {
    IMASNAP_RETURN_IF_ERROR(sink_(buffer_));
    buffer_.clear();
    return {};
  }

 private:
  const ByteSink& sink_;
  Bytes buffer_;
};

class Writer {
 public:
  Writer(const CatOptions& options, const ByteSink& sink) : options_(options), out_(sink) {}

  Status Part(const LogPart& part) {
    if (part.discarded) {  // before options_.from
      seen_ = part.info->last_record;
      return {};
    }
    IMASNAP_ASSIGN(const std::unique_ptr<File> file, part.open());
    LogReader reader(*file, {}, part.path,
                     options_.ascii ? LogReader::Check::kStrict : LogReader::Check::kFraming);
    while (true) {
      IMASNAP_ASSIGN(const Record* record, reader.Next());
      if (record == nullptr) {
        return {};
      }
      if (options_.progress && seen_ % kProgressStep == 0 && !options_.progress(seen_)) {
        return MakeError(ErrorCode::kFailed, "given up");
      }
      if (++seen_ >= options_.from) {
        IMASNAP_RETURN_IF_ERROR(Write(*record));
        ++written_;
        IMASNAP_RETURN_IF_ERROR(out_.FlushIfFull());
      }
    }
  }

  Result<uint64_t> Finish() {
    IMASNAP_RETURN_IF_ERROR(out_.Flush());
    return written_;
  }

 private:
  Status Write(const Record& record) {
    if (options_.header_alg == HashAlg::kSha1) {
      Format(record, record.digest);
      return {};
    }
    Digest digest = Digest::Filled(DigestSize(options_.header_alg), std::byte{0});
    if (!record.IsViolation()) {
      if (!hasher_) {
        IMASNAP_ASSIGN(hasher_, Hasher::Create(options_.header_alg));
      }
      IMASNAP_ASSIGN(digest, TemplateDigest(record, &*hasher_));
    }
    Format(record, digest.view());
    return {};
  }

  void Format(const Record& record, ByteView digest) {
    if (options_.ascii) {
      line_.clear();
      AppendAscii(record, digest, &line_);
      AppendBytes(AsBytes(line_), out_.bytes());
    } else {
      AppendBinary(record, digest, out_.bytes());
    }
  }

  const CatOptions options_;
  Output out_;
  std::optional<Hasher> hasher_;
  std::string line_;
  uint64_t seen_ = 0;
  uint64_t written_ = 0;
};

}  // namespace

std::vector<LogPart> PartsOf(const Environment& env, const LogView& view) {
  std::vector<LogPart> parts;
  FileSystem& fs = env.fs;
  uint64_t expected = 1;
  for (const Segment& segment : view.segments) {
    LogPart part;
    part.path = segment.path;
    part.segment = segment.number;
    part.info = segment.info;
    part.info_problem = segment.info_error;
    part.missing = !segment.has_data;
    part.discarded = segment.info && segment.info->state == SegmentState::kDiscarded;
    const bool explained = segment.info && segment.info->supersedes;
    if (segment.number != expected && !explained) {
      part.missing_before = expected;
    }
    part.open = [&fs, path = segment.path] { return fs.OpenFile(path, OpenMode::kRead); };
    parts.push_back(std::move(part));
    expected = segment.number + 1;
  }
  LogPart live;
  live.path = view.live_path;
  live.open = [&fs, path = view.live_path] { return fs.OpenFile(path, OpenMode::kRead); };
  parts.push_back(std::move(live));
  return parts;
}

Status CheckNotDiscarded(const std::vector<LogPart>& parts, uint64_t from) {
  const LogPart* last = nullptr;
  for (const LogPart& part : parts) {
    if (part.discarded && part.info->last_record >= from) {
      last = &part;
    }
  }
  if (last == nullptr) {
    return {};
  }
  return FileError(
      ErrorCode::kCannotCheck, last->path,
      fmt::format("segments up to {} (records 1 to {}) were discarded after they were "
                  "verified, as discard = \"verified\" in ima-snapshot.conf(5) allows; "
                  "records from {} on can be read, and verified with --state",
                  SegmentName(last->segment), last->info->last_record,
                  last->info->last_record + 1));
}

Status CheckComplete(const std::vector<LogPart>& parts, uint64_t from) {
  IMASNAP_RETURN_IF_ERROR(CheckNotDiscarded(parts, from));
  for (const LogPart& part : parts) {
    if ((part.missing && !part.discarded) || part.missing_before) {
      return FileError(ErrorCode::kMismatch, part.path,
                       fmt::format("segment {} is missing",
                                   SegmentName(part.missing_before.value_or(part.segment))));
    }
  }
  return {};
}

Result<uint64_t> WriteLog(const std::vector<LogPart>& parts, const CatOptions& options,
                          const ByteSink& sink) {
  IMASNAP_RETURN_IF_ERROR(CheckComplete(parts, options.from));
  Writer writer(options, sink);
  for (const LogPart& part : parts) {
    IMASNAP_RETURN_IF_ERROR(writer.Part(part));
  }
  return writer.Finish();
}

Result<std::unique_ptr<File>> Spool(FileSystem& fs, ByteSource& from) {
  IMASNAP_ASSIGN(std::unique_ptr<File> file, fs.OpenTemporary());
  Bytes buffer(kChunk);
  while (true) {
    IMASNAP_ASSIGN(const size_t got, from.Read(buffer));
    if (got == 0) {
      break;
    }
    IMASNAP_RETURN_IF_ERROR(file->WriteAll(ByteView(buffer).first(got)));
  }
  IMASNAP_ASSIGN(const uint64_t start, file->Seek(0));
  static_cast<void>(start);
  return file;
}

}  // namespace imasnap
