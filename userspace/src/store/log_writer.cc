// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/log_writer.h"

#include <string>
#include <utility>

#include "log/digest_pipeline.h"
#include "log/log_reader.h"
#include "log/record_format.h"
#include "store/completeness.h"

namespace imasnap {
namespace {

constexpr size_t kRawRecords = 8192;  // so that only the bytes are limited

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
        return MakeError(ErrorCode::kFailed, "cancelled");
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
      pipeline.limits.threads = 0;  // threads have nothing to do
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
  uint64_t seen_ = 0;       // including the discarded ones
  uint64_t written_ = 0;
};

}  // namespace

Result<uint64_t> WriteLog(const std::vector<LogPart>& parts, const CatOptions& options,
                          const ByteSink& sink) {
  IMASNAP_RETURN_IF_ERROR(CheckComplete(parts, options.from));
  Writer writer(options, sink);
  IMASNAP_RETURN_IF_ERROR(writer.Write(parts));
  return writer.written();
}

}  // namespace imasnap
