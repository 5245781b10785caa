// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/digest_pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>

#include "log/record_format.h"
#include "log/replay.h"
#include "log_builder.h"
#include "replay_record.h"

namespace imasnap {
namespace {

using testing::BufRecord;
using testing::BuiltRecord;
using testing::Concatenate;
using testing::EveryTemplate;
using testing::HashOf;
using testing::NgRecord;
using testing::ReplayRecord;
using testing::Violation;

// Gives a log piece by piece. One end follows each piece; after the last piece every
// read gives an end, or an error.
class PieceSource : public ByteSource {
 public:
  explicit PieceSource(std::vector<Bytes> pieces, int last_errno = 0)
      : pieces_(std::move(pieces)), last_errno_(last_errno) {}
  Result<size_t> Read(std::span<std::byte> out) override {
    if (piece_ == pieces_.size()) {
      return size_t{0};
    }
    const ByteView rest = ByteView(pieces_[piece_]).subspan(at_);
    if (rest.empty() && last_errno_ != 0 && piece_ + 1 == pieces_.size()) {
      return SystemError("", "read", last_errno_);
    }
    if (rest.empty()) {
      ++piece_;
      at_ = 0;
      return size_t{0};
    }
    // A read never gives a whole record.
    const size_t n = std::min({rest.size(), out.size(), size_t{70}});
    std::copy_n(rest.begin(), n, out.begin());
    at_ += n;
    return n;
  }

 private:
  const std::vector<Bytes> pieces_;
  const int last_errno_;
  size_t piece_ = 0;
  size_t at_ = 0;
};

using Inputs = std::vector<DigestPipeline::Input>;

DigestPipeline::Input InputOf(std::string name, std::vector<Bytes> pieces, int last_errno = 0) {
  return {std::move(name), [=]() -> Result<std::unique_ptr<ByteSource>> {
            return std::unique_ptr<ByteSource>(std::make_unique<PieceSource>(pieces, last_errno));
          }};
}

// The first file is already started.
std::unique_ptr<DigestPipeline> Begun(Inputs inputs, DigestPipeline::Options options) {
  auto pipeline = std::make_unique<DigestPipeline>(std::move(inputs), std::move(options));
  pipeline->NextFile();
  return pipeline;
}

std::vector<DigestPipeline::Limits> AllLimits() {
  std::vector<DigestPipeline::Limits> all;
  for (const unsigned threads : {0U, 1U, 3U}) {
    for (const size_t records : {size_t{1}, size_t{3}, size_t{100}}) {
      // The smaller number of bytes is less than many a record has.
      for (const size_t bytes : {size_t{150}, size_t{4000}}) {
        all.push_back({threads, 0, records, bytes});
      }
    }
    all.push_back({threads, 20, 4, 4000});  // threads begin in the middle
  }
  return all;
}

std::string Name(const DigestPipeline::Limits& limits) {
  return "threads " + std::to_string(limits.threads) + " from " +
         std::to_string(limits.threads_from) + ", records " + std::to_string(limits.batch_records) +
         ", bytes " + std::to_string(limits.batch_bytes);
}

std::vector<BuiltRecord> ManyRecords() {
  std::vector<BuiltRecord> records;
  for (int i = 0; i < 4; ++i) {
    const auto some = EveryTemplate();
    records.insert(records.end(), some.begin(), some.end());
    records.push_back(Violation("/v" + std::to_string(i)));
    records.push_back(BufRecord("long", std::string(static_cast<size_t>(700 * i), 'x')));
  }
  return records;
}

// The banks that differ in how they are replayed.
const std::vector<Bank> kBanks = {
    {.alg = HashAlg::kSha256},
    {.alg = HashAlg::kSha1},
    {.alg = HashAlg::kSha512},
    {.alg = HashAlg::kSha384, .padded_sha1 = true},
    {.alg = HashAlg::kSha3_256, .padded_sha1 = true, .unmapped = true},
};

// What a reader of records gives, written down.
struct Told {
  std::string records;
  uint64_t count = 0;
  std::string error;
  std::optional<Error> mismatch;
};

std::string Describe(const Record& record) {
  std::string text = std::to_string(record.number) + "@" + std::to_string(record.offset) + " " +
                     record.tmpl->name + " " + ToHex(record.raw) + " ";
  AppendAscii(record, record.digest, &text);
  return text;
}

template <typename Reader, typename Add>
Told Tell(Reader* reader, const Add& add) {
  Told told;
  while (true) {
    const auto next = reader->Next();
    if (!next.ok()) {
      told.error = next.error().ToString();
      return told;
    }
    if (*next == nullptr) {
      return told;
    }
    told.records += Describe(**next);
    ++told.count;
    const Status added = add(**next);
    if (!added.ok()) {
      told.mismatch = added.error();
      return told;
    }
  }
}

Replay NewReplay() { return Replay(kBanks); }

DigestPipeline::Options OptionsFor(const Replay& replay, const DigestPipeline::Limits& limits) {
  DigestPipeline::Options options;
  options.algs = replay.DigestAlgs(HashAlg::kSha1);
  options.hash_file = true;
  options.limits = limits;
  return options;
}

// Replays `pieces` plainly and through the pipeline; both must give the same results.
void ExpectTheSame(const std::vector<Bytes>& pieces, int last_errno,
                   const DigestPipeline::Limits& limits) {
  Replay plain = NewReplay();
  PieceSource plain_source(pieces, last_errno);
  LogReader reader(plain_source, {}, "log");
  Replay piped = NewReplay();
  const auto pipeline = Begun({InputOf("log", pieces, last_errno)}, OptionsFor(piped, limits));
  // Reads once more than there are ends, to check that the last one stays.
  for (size_t i = 0; i <= pieces.size(); ++i) {
    const Told expected =
        Tell(&reader, [&](const Record& record) { return ReplayRecord(&plain, record); });
    const Told told = Tell(pipeline.get(), [&](const Record& record) {
      return piped.Add(record, HashAlg::kSha1, pipeline->digests());
    });
    ASSERT_EQ(told.count, expected.count);
    ASSERT_TRUE(told.records == expected.records);
    ASSERT_EQ(told.error, expected.error);
    ASSERT_EQ(told.mismatch.has_value(), expected.mismatch.has_value());
    if (told.mismatch) {
      ASSERT_EQ(told.mismatch->ToString(), expected.mismatch->ToString());
      ASSERT_EQ(told.mismatch->record, expected.mismatch->record);
    }
    ASSERT_EQ(pipeline->records(), reader.records());
    ASSERT_EQ(pipeline->bytes(), reader.bytes());
    ASSERT_EQ(piped.records(), plain.records());
    ASSERT_EQ(piped.violations(), plain.violations());
    ASSERT_EQ(piped.UsedPcrs(), plain.UsedPcrs());
    for (size_t bank = 0; bank < kBanks.size(); ++bank) {
      for (const uint32_t pcr : plain.UsedPcrs()) {
        ASSERT_EQ(piped.Value(bank, pcr), plain.Value(bank, pcr));
        ASSERT_EQ(piped.ValueBefore(bank, pcr), plain.ValueBefore(bank, pcr));
      }
    }
    if (told.mismatch) {
      return;
    }
  }
}

TEST(DigestPipelineTest, ReplaysEveryTemplateInEveryBankAsWithoutIt) {
  const Bytes log = Concatenate(ManyRecords());
  for (const auto& limits : AllLimits()) {
    SCOPED_TRACE(Name(limits));
    ExpectTheSame({log}, 0, limits);
  }
}

TEST(DigestPipelineTest, AnErrorComesAfterTheRecordsBeforeItWhereverItIs) {
  std::vector<BuiltRecord> records(9, NgRecord("/file"));
  for (const auto& limits : AllLimits()) {
    SCOPED_TRACE(Name(limits));
    for (size_t bad = 0; bad < records.size(); ++bad) {
      SCOPED_TRACE(bad);
      const size_t offset = Concatenate({records.begin(), records.begin() + bad}).size();
      Bytes wrong_pcr = Concatenate(records);
      wrong_pcr[offset + 3] = std::byte{0xff};
      ExpectTheSame({wrong_pcr}, 0, limits);
      Bytes wrong_digest = Concatenate(records);
      wrong_digest[offset + 4] ^= std::byte{1};
      ExpectTheSame({wrong_digest}, 0, limits);
      Bytes truncated = Concatenate(records);
      truncated.resize(offset + 50);
      ExpectTheSame({truncated}, 0, limits);
      ExpectTheSame({truncated}, EIO, limits);  // a read fails in that record
      truncated.resize(offset);
      ExpectTheSame({truncated}, EIO, limits);  // or right before it
    }
  }
}

TEST(DigestPipelineTest, GoesOnWhenTheLogHasGrown) {
  const auto records = ManyRecords();
  const auto part = [&](size_t from, size_t to) {
    return Concatenate({records.begin() + static_cast<ptrdiff_t>(from),
                        records.begin() + static_cast<ptrdiff_t>(to)});
  };
  for (const auto& limits : AllLimits()) {
    SCOPED_TRACE(Name(limits));
    ExpectTheSame({part(0, 25), {}, part(25, 26), part(26, records.size())}, 0, limits);
  }
}

TEST(DigestPipelineTest, AnErrorStays) {
  for (const auto& limits : AllLimits()) {
    const auto pipeline = Begun({InputOf("log", {Concatenate({NgRecord("/a")})}, EIO)},
                                OptionsFor(NewReplay(), limits));
    ASSERT_TRUE(pipeline->NextBatch().ok());
    for (int i = 0; i < 2; ++i) {
      const auto batch = pipeline->NextBatch();
      ASSERT_FALSE(batch.ok());
      EXPECT_EQ(batch.error().errno_value, EIO);
    }
  }
}

TEST(DigestPipelineTest, HashesTheFileAndWhatIsBeforeEachAggregate) {
  const BuiltRecord aggregate = BufRecord("snapshot_aggregate", "Snapshot_Attempt_Count=1;");
  std::vector<BuiltRecord> records = {aggregate, NgRecord("/a"),  NgRecord("/b"), aggregate,
                                      aggregate, Violation("/v"), NgRecord("/c"), aggregate};
  const Bytes log = Concatenate(records);
  for (const auto& limits : AllLimits()) {
    SCOPED_TRACE(Name(limits));
    const auto pipeline = Begun({InputOf("log", {log})}, OptionsFor(NewReplay(), limits));
    for (const BuiltRecord& record : records) {
      const auto next = pipeline->Next();
      ASSERT_TRUE(next.ok() && *next != nullptr);
      const bool is_aggregate = record.fields == aggregate.fields;
      ASSERT_EQ(pipeline->HashBefore() != nullptr, is_aggregate);
      if (is_aggregate) {
        EXPECT_EQ(*pipeline->HashBefore(),
                  HashOf(HashAlg::kSha256, ByteView(log).first((*next)->offset)));
      }
    }
    ASSERT_EQ(*pipeline->Next(), nullptr);
    EXPECT_EQ(pipeline->hash(), HashOf(HashAlg::kSha256, log));
  }
}

TEST(DigestPipelineTest, AnEmptyFileHasTheHashOfNothing) {
  for (const auto& limits : AllLimits()) {
    const auto pipeline = Begun({InputOf("log", {})}, OptionsFor(NewReplay(), limits));
    ASSERT_EQ(*pipeline->Next(), nullptr);
    EXPECT_EQ(pipeline->hash(), HashOf(HashAlg::kSha256, ""));
  }
}

TEST(DigestPipelineTest, CanBeLeftInTheMiddle) {
  const Bytes log = Concatenate(ManyRecords());
  for (const auto& limits : AllLimits()) {
    const auto pipeline =
        Begun({InputOf("log", {log}), InputOf("next", {log})}, OptionsFor(NewReplay(), limits));
    const auto batch = pipeline->NextBatch();
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ((*batch)->record(0).number, 1U);
  }
}

TEST(DigestPipelineTest, ReadsFileAfterFile) {
  const Bytes log = Concatenate(ManyRecords());
  const std::vector<Bytes> files = {log, {}, log, Concatenate({NgRecord("/a")}), {}, log};
  for (const auto& limits : AllLimits()) {
    SCOPED_TRACE(Name(limits));
    Inputs inputs;
    for (const Bytes& file : files) {
      inputs.push_back(InputOf("file", {file}));
      inputs.back().expected_records = file.size() / 500;
    }
    DigestPipeline pipeline(std::move(inputs), OptionsFor(NewReplay(), limits));
    Replay piped = NewReplay();
    Replay plain = NewReplay();
    for (const Bytes& file : files) {
      PieceSource source({file});
      LogReader reader(source, {}, "file");
      pipeline.NextFile();
      const Told expected =
          Tell(&reader, [&](const Record& record) { return ReplayRecord(&plain, record); });
      const Told told = Tell(&pipeline, [&](const Record& record) {
        return piped.Add(record, HashAlg::kSha1, pipeline.digests());
      });
      ASSERT_TRUE(told.records == expected.records);
      ASSERT_EQ(told.error, "");
      ASSERT_FALSE(told.mismatch);
      ASSERT_EQ(piped.Value(0, 10), plain.Value(0, 10));
      ASSERT_EQ(pipeline.hash(), HashOf(HashAlg::kSha256, file));
      ASSERT_EQ(*pipeline.Next(), nullptr);  // until the reader continues
    }
  }
}

TEST(DigestPipelineTest, CountsTheRecordsOfTheFilesBefore) {
  const auto records = ManyRecords();
  const Bytes log = Concatenate(records);
  for (const auto& limits : AllLimits()) {
    SCOPED_TRACE(Name(limits));
    auto options = OptionsFor(NewReplay(), limits);
    options.work = [](RecordBatch* batch) {
      batch->text = std::to_string(batch->records_before());
    };
    DigestPipeline pipeline({InputOf("a", {log}), InputOf("b", {}), InputOf("c", {log, log})},
                            std::move(options));
    for (const size_t before : {size_t{0}, records.size(), records.size()}) {
      pipeline.NextFile();
      while (true) {
        const auto batch = pipeline.NextBatch();
        ASSERT_TRUE(batch.ok());
        if (*batch == nullptr) {
          break;
        }
        ASSERT_EQ((*batch)->text, std::to_string(before));
      }
    }
    const auto grown = pipeline.NextBatch();
    ASSERT_TRUE(grown.ok() && *grown != nullptr);
    EXPECT_EQ((*grown)->text, std::to_string(records.size()));
    EXPECT_EQ((*grown)->record(0).number, records.size() + 1);
  }
}

// An error in a file is reported when that file is read, not earlier.
TEST(DigestPipelineTest, AnErrorOfAFileComesAfterTheFilesBeforeIt) {
  const auto records = ManyRecords();
  const Bytes log = Concatenate(records);
  Bytes broken = log;
  broken.resize(broken.size() - 1);
  const DigestPipeline::Input lost = {"wrong", []() -> Result<std::unique_ptr<ByteSource>> {
                                        return SystemError("wrong", "open", ENOENT);
                                      }};
  for (const auto& [wrong, read] : std::vector<std::pair<DigestPipeline::Input, size_t>>{
           {lost, 0},
           {InputOf("wrong", {broken}), records.size() - 1},
           {InputOf("wrong", {{}}, EIO), 0}}) {
    for (const auto& limits : AllLimits()) {
      SCOPED_TRACE(Name(limits));
      DigestPipeline pipeline({InputOf("good", {log}), wrong, InputOf("after", {log})},
                              OptionsFor(NewReplay(), limits));
      const auto nothing = [](const Record&) { return Status(); };
      pipeline.NextFile();
      Told told = Tell(&pipeline, nothing);
      ASSERT_EQ(told.count, records.size());
      ASSERT_EQ(told.error, "");
      pipeline.NextFile();
      told = Tell(&pipeline, nothing);
      ASSERT_EQ(told.count, read);
      ASSERT_EQ(told.error.substr(0, 7), "wrong: ");
    }
  }
}

TEST(DigestPipelineTest, OpensEachFileOnceAndOneAtATime) {
  struct CountingSource : SpanSource {
    CountingSource(ByteView bytes, std::atomic<int>* open_now) : SpanSource(bytes), open(open_now) {
      ++*open;
    }
    ~CountingSource() override { --*open; }
    std::atomic<int>* open;
  };
  const Bytes log = Concatenate(ManyRecords());
  for (const auto& limits : AllLimits()) {
    SCOPED_TRACE(Name(limits));
    std::atomic<int> open = 0;
    std::atomic<int> most = 0;
    std::atomic<int> times = 0;
    Inputs inputs(20, {"file", [&]() -> Result<std::unique_ptr<ByteSource>> {
                         ++times;
                         auto source = std::make_unique<CountingSource>(log, &open);
                         most = std::max(most.load(), open.load());
                         return std::unique_ptr<ByteSource>(std::move(source));
                       }});
    DigestPipeline pipeline(std::move(inputs), OptionsFor(NewReplay(), limits));
    for (int file = 0; file < 20; ++file) {
      pipeline.NextFile();
      ASSERT_EQ(Tell(&pipeline, [](const Record&) { return Status(); }).error, "");
    }
    EXPECT_EQ(times, 20);
    EXPECT_LE(most, 2);  // the next is opened before the one before is closed
  }
}

}  // namespace
}  // namespace imasnap
