// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/log_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "log/digest_pipeline.h"
#include "log/log_reader.h"
#include "log/record_format.h"
#include "store/cel.h"
#include "store/completeness.h"

namespace imasnap {
namespace {

constexpr size_t kRawRecords = 8192;  // so that only the bytes are limited

// The index of the first part that was not discarded, and the records before it.
std::pair<size_t, uint64_t> FirstKept(const std::vector<LogPart>& parts) {
  std::pair<size_t, uint64_t> kept(0, 0);
  for (; parts[kept.first].discarded; ++kept.first) {
    kept.second = parts[kept.first].info->last_record;
  }
  return kept;
}

class Writer {
 public:
  Writer(CatOptions options, const ByteSink& sink)
      : options_(std::move(options)),
        last_(options_.count > UINT64_MAX - options_.from ? UINT64_MAX
                                                          : options_.from + options_.count - 1),
        sink_(sink) {}

  Status Write(const std::vector<LogPart>& parts) {
    beginning_ = parts[0].path;
    size_t first = 0;
    std::tie(first, discarded_) = FirstKept(parts);  // before options_.from
    seen_ = discarded_;
    if (cel()) {
      IMASNAP_RETURN_IF_ERROR(sink_(AsBytes("[")));
    }
    DigestPipeline pipeline(InputsOf(parts, first), PipelineOptions());
    for (size_t i = first; i < parts.size() && seen_ < last_; ++i) {
      pipeline.NextFile();
      Status written = WriteFile(&pipeline, parts[i].path);
      if (!written.ok()) {
        return ErrorOfPart(parts[i], std::move(written.error()));
      }
    }
    if (seen_ == 0) {
      return EmptyLog(parts.back().path);
    }
    return cel() ? sink_(AsBytes("\n]\n")) : Status();
  }

  uint64_t written() const { return written_; }

 private:
  bool cel() const { return !options_.cel.empty(); }
  bool as_read() const {
    return !options_.ascii && !cel() && options_.header_alg == HashAlg::kSha1;
  }

  Status WriteFile(DigestPipeline* pipeline, const std::string& path) {
    while (seen_ < last_) {
      IMASNAP_ASSIGN(const RecordBatch* batch, pipeline->NextBatch());
      if (batch == nullptr) {
        return {};
      }
      if (options_.progress && !options_.progress(seen_)) {
        return MakeError(ErrorCode::kFailed, "cancelled");
      }
      IMASNAP_RETURN_IF_ERROR(WriteBatch(*batch));
      for (size_t i = 0; options_.ascii && i < batch->size(); ++i) {
        if (IsWanted(NumberOf(*batch, i))) {
          IMASNAP_RETURN_IF_ERROR(CheckDecoded(batch->record(i), path));
        }
      }
    }
    return {};
  }

  DigestPipeline::Options PipelineOptions() const {
    DigestPipeline::Options pipeline;
    pipeline.algs = options_.cel;
    if (!cel() && options_.header_alg != HashAlg::kSha1) {
      pipeline.algs = {options_.header_alg};
    }
    pipeline.check = options_.ascii ? LogReader::Check::kStrict : LogReader::Check::kFraming;
    if (as_read()) {
      pipeline.limits.threads = 0;  // threads have nothing to do
      pipeline.limits.batch_records = kRawRecords;
    } else {
      pipeline.work = [this](RecordBatch* batch) { Format(batch); };
    }
    return pipeline;
  }

  uint64_t NumberOf(const RecordBatch& batch, size_t i) const {
    return discarded_ + batch.records_before() + batch.record(i).number;
  }
  bool IsWanted(uint64_t number) const { return number >= options_.from && number <= last_; }

  // Called on several threads. Ends at a record that cannot be printed.
  void Format(RecordBatch* batch) const {
    const Digest zeros = Digest::Filled(DigestSize(options_.header_alg), std::byte{0});
    for (size_t i = 0; i < batch->size(); ++i) {
      const Record& record = batch->record(i);
      const uint64_t number = NumberOf(*batch, i);
      if (!IsWanted(number)) {
        continue;
      }
      if (cel()) {
        batch->text.append(number == options_.from ? "\n" : ",\n");
        AppendCel(record, number, options_.cel, batch->digests(i), &batch->text);
        continue;
      }
      if (options_.ascii && record.tmpl == nullptr) {
        return;
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
    const size_t begin = options_.from > first ? options_.from - first : 0;
    const size_t end = std::min<uint64_t>(batch.size(), last_ - first + 1);
    written_ += end - begin;
    if (!as_read()) {
      return sink_(options_.ascii || cel() ? AsBytes(batch.text) : ByteView(batch.binary));
    }
    const std::byte* const from = batch.record(begin).raw.data();
    const ByteView last = batch.record(end - 1).raw;
    return sink_(ByteView(from, last.data() + last.size()));
  }

  const CatOptions options_;
  const uint64_t last_;  // record written
  const ByteSink& sink_;
  std::string beginning_;   // the file that has it
  uint64_t discarded_ = 0;  // records
  uint64_t seen_ = 0;       // including the discarded ones
  uint64_t written_ = 0;
};

}  // namespace

Result<uint64_t> FindDigest(const std::vector<LogPart>& parts, HashAlg alg, const Digest& digest) {
  const auto [first, discarded] = FirstKept(parts);
  DigestPipeline::Options options;
  options.algs = {alg};
  options.check = LogReader::Check::kFraming;
  DigestPipeline pipeline(InputsOf(parts, first), std::move(options));
  uint64_t number = discarded;
  for (size_t i = first; i < parts.size(); ++i) {
    pipeline.NextFile();
    while (true) {
      auto record = pipeline.Next();
      if (!record.ok()) {
        return ErrorOfPart(parts[i], std::move(record.error()));
      }
      if (*record == nullptr) {
        break;
      }
      ++number;
      if (!(*record)->IsViolation() && pipeline.digests()[0] == digest) {
        return number;
      }
    }
  }
  Error error = MakeError(
      ErrorCode::kUsage, Cause::kRecordUnknown,
      fmt::format("no record of the log has the {} digest {}{}", HashName(alg), digest.Hex(),
                  discarded > 0 ? "; records were discarded, which are not searched" : ""));
  error.expected = digest.Hex();
  return error;
}

Result<uint64_t> WriteLog(const std::vector<LogPart>& parts, const CatOptions& options,
                          const ByteSink& sink) {
  IMASNAP_RETURN_IF_ERROR(CheckComplete(parts, options.from));
  Writer writer(options, sink);
  IMASNAP_RETURN_IF_ERROR(writer.Write(parts));
  return writer.written();
}

}  // namespace imasnap
