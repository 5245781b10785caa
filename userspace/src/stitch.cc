// SPDX-License-Identifier: GPL-2.0-or-later
#include "stitch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "record_format.h"

namespace imasnap {
namespace {

constexpr size_t kChunk = size_t{256} * 1024;
constexpr size_t kRawRecords = 8192;  // so that their bytes decide how much is written at once

class Writer {
 public:
  Writer(CatOptions options, const ByteSink& sink) : options_(std::move(options)), sink_(sink) {}

  Status Write(const std::vector<LogPart>& parts) {
    beginning_ = parts[0].path;
    size_t first = 0;
    for (; parts[first].discarded; ++first) {  // before options_.from
      seen_ = discarded_ = parts[first].info->last_record;
    }
    DigestPipeline pipeline(InputsOf(parts, first), PipelineOptions());
    for (size_t i = first; i < parts.size(); ++i) {
      pipeline.NextFile();
      IMASNAP_RETURN_IF_ERROR(WriteFile(&pipeline));
    }
    return {};
  }

  uint64_t written() const { return written_; }

 private:
  bool as_read() const { return !options_.ascii && options_.header_alg == HashAlg::kSha1; }

  Status WriteFile(DigestPipeline* pipeline) {
    while (true) {
      IMASNAP_ASSIGN(const RecordBatch* batch, pipeline->NextBatch());
      if (batch == nullptr) {
        return {};
      }
      if (options_.progress && !options_.progress(seen_)) {
        return MakeError(ErrorCode::kFailed, "given up");
      }
      IMASNAP_RETURN_IF_ERROR(WriteBatch(*batch));
    }
  }

  DigestPipeline::Options PipelineOptions() const {
    DigestPipeline::Options pipeline;
    if (options_.header_alg != HashAlg::kSha1) {
      pipeline.algs = {options_.header_alg};
    }
    pipeline.check = options_.ascii ? LogReader::Check::kStrict : LogReader::Check::kFraming;
    if (as_read()) {
      pipeline.limits.threads = 0;  // nothing for them to do
      pipeline.limits.batch_records = kRawRecords;
    } else {
      pipeline.work = [this](RecordBatch* batch) { Format(batch); };
    }
    return pipeline;
  }

  // Called on several threads.
  void Format(RecordBatch* batch) const {
    const uint64_t before = discarded_ + batch->records_before();
    const Digest zeros = Digest::Filled(DigestSize(options_.header_alg), std::byte{0});
    for (size_t i = 0; i < batch->size(); ++i) {
      const Record& record = batch->record(i);
      if (before + record.number < options_.from) {
        continue;
      }
      const ByteView digest = options_.header_alg == HashAlg::kSha1 ? record.digest
                              : record.IsViolation()                ? zeros.view()
                                                                    : batch->digests(i)[0].view();
      if (options_.ascii) {
        AppendAscii(record, digest, &batch->text);
      } else {
        AppendBinary(record, digest, &batch->binary);
      }
    }
  }

  Status WriteBatch(const RecordBatch& batch) {
    const uint64_t first = seen_ + 1;
    if (first == 1 && options_.from == 1 && batch.size() > 0) {
      IMASNAP_RETURN_IF_ERROR(CheckBeginning(batch.record(0), beginning_));
    }
    seen_ += batch.size();
    if (seen_ < options_.from) {
      return {};
    }
    const size_t skipped = options_.from > first ? options_.from - first : 0;
    written_ += batch.size() - skipped;
    if (!as_read()) {
      return sink_(options_.ascii ? AsBytes(batch.text) : ByteView(batch.binary));
    }
    const ByteView raw = batch.raw();
    return sink_(raw.subspan(static_cast<size_t>(batch.record(skipped).raw.data() - raw.data())));
  }

  const CatOptions options_;
  const ByteSink& sink_;
  std::string beginning_;   // the file that has it
  uint64_t discarded_ = 0;  // records
  uint64_t seen_ = 0;       // the discarded ones too
  uint64_t written_ = 0;
};

class ReadOnlyFile : public File {
 public:
  using File::File;
  Result<size_t> WriteSome(ByteView) override { return SystemError(path(), "write", EBADF); }
  Status Sync() override { return SystemError(path(), "fsync", EBADF); }
  Status TryLock(LockMode) override { return SystemError(path(), "flock", EBADF); }
  Status Close() override { return {}; }
};

// A place of its own in a file that others read too.
class SharedFile : public ReadOnlyFile {
 public:
  explicit SharedFile(std::shared_ptr<File> file)
      : ReadOnlyFile(file->path()), file_(std::move(file)) {}

  Result<size_t> ReadSome(std::span<std::byte> out) override {
    IMASNAP_ASSIGN(const size_t got, file_->ReadSomeAt(at_, out));
    at_ += got;
    return got;
  }
  Result<size_t> ReadSomeAt(uint64_t offset, std::span<std::byte> out) override {
    return file_->ReadSomeAt(offset, out);
  }
  Result<uint64_t> Seek(uint64_t offset) override { return at_ = offset; }
  Result<FileInfo> Stat() override { return file_->Stat(); }

 private:
  std::shared_ptr<File> file_;
  uint64_t at_ = 0;
};

// A copy of the kernel's list, which would hold up staging as long as it is open.
// Read after its end it goes on with what was measured since.
class GrowingCopy : public ReadOnlyFile {
 public:
  explicit GrowingCopy(KernelLog kernel)
      : ReadOnlyFile(kernel.live_path()), kernel_(std::move(kernel)) {}

  Result<size_t> ReadSome(std::span<std::byte> out) override {
    if (!copy_) {
      IMASNAP_RETURN_IF_ERROR(CopyRest());
    }
    IMASNAP_ASSIGN(const size_t got, copy_->ReadSome(out));
    copied_ += got;
    if (got == 0) {
      copy_.reset();
    }
    return got;
  }
  Result<size_t> ReadSomeAt(uint64_t, std::span<std::byte>) override {
    return SystemError(path(), "pread", ESPIPE);
  }
  Result<uint64_t> Seek(uint64_t) override { return SystemError(path(), "lseek", ESPIPE); }
  Result<FileInfo> Stat() override { return SystemError(path(), "fstat", EBADF); }

 private:
  Status CopyRest() {
    IMASNAP_ASSIGN(const std::unique_ptr<File> live, kernel_.OpenLive());
    std::array<std::byte, size_t{16} * 1024> skipped;
    for (uint64_t at = 0; at < copied_;) {
      const auto wanted = std::min<uint64_t>(skipped.size(), copied_ - at);
      IMASNAP_ASSIGN(const size_t got, live->Read(std::span(skipped).first(wanted)));
      if (got == 0) {
        return FileError(ErrorCode::kCannotCheck, path(),
                         "got shorter while it was read: another program removes records");
      }
      at += got;
    }
    IMASNAP_ASSIGN(copy_, Spool(kernel_.fs(), *live));
    return {};
  }

  const KernelLog kernel_;
  std::unique_ptr<File> copy_;
  uint64_t copied_ = 0;  // bytes that were read
};

LogPart StagedPart(const LogView& view) {
  LogPart part;
  part.path = view.staged_path;
  part.open = [file = view.staged]() -> Result<std::unique_ptr<File>> {
    return std::unique_ptr<File>(std::make_unique<SharedFile>(file));
  };
  return part;
}

LogPart LivePart(const Environment& env, const LogView& view) {
  LogPart part;
  part.path = view.live_path;
  if (!view.has_staging) {
    part.open = [&fs = env.fs, path = view.live_path] {
      return fs.OpenFile(path, OpenMode::kRead);
    };
    return part;
  }
  part.open = [kernel = env.kernel()]() -> Result<std::unique_ptr<File>> {
    return std::unique_ptr<File>(std::make_unique<GrowingCopy>(kernel));
  };
  return part;
}

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
  if (view.staged) {
    parts.push_back(StagedPart(view));
  }
  parts.push_back(LivePart(env, view));
  return parts;
}

std::vector<DigestPipeline::Input> InputsOf(const std::vector<LogPart>& parts, size_t first) {
  std::vector<DigestPipeline::Input> inputs;
  for (const LogPart& part : std::span(parts).subspan(first)) {
    const auto open = [&part]() -> Result<std::unique_ptr<ByteSource>> {
      IMASNAP_ASSIGN(std::unique_ptr<File> file, part.open());
      return std::unique_ptr<ByteSource>(std::move(file));
    };
    inputs.push_back({part.path, open, part.info ? part.info->records : 0});
  }
  return inputs;
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

Status CheckBeginning(const Record& first, const std::string& name) {
  if (first.event_name() == kBootAggregateEvent) {
    return {};
  }
  return FileError(ErrorCode::kMismatch, name,
                   fmt::format("the log's beginning is not there: its first record is {}, not {}",
                               Printable(first.event_name()), kBootAggregateEvent));
}

Result<uint64_t> WriteLog(const std::vector<LogPart>& parts, const CatOptions& options,
                          const ByteSink& sink) {
  IMASNAP_RETURN_IF_ERROR(CheckComplete(parts, options.from));
  Writer writer(options, sink);
  IMASNAP_RETURN_IF_ERROR(writer.Write(parts));
  return writer.written();
}

Result<std::unique_ptr<File>> Spool(FileSystem& fs, ByteSource& from) {
  IMASNAP_ASSIGN(std::unique_ptr<File> file, fs.OpenTemporary());
  // Most of it is never touched for a short list.
  const auto memory = std::make_unique_for_overwrite<std::byte[]>(kChunk);
  const std::span<std::byte> buffer(memory.get(), kChunk);
  while (true) {
    IMASNAP_ASSIGN(const size_t got, from.Read(buffer));
    if (got == 0) {
      break;
    }
    IMASNAP_RETURN_IF_ERROR(file->WriteAll(buffer.first(got)));
  }
  IMASNAP_ASSIGN(const uint64_t start, file->Seek(0));
  static_cast<void>(start);
  return file;
}

}  // namespace imasnap
