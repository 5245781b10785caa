// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/log_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "log/record_format.h"
#include "log/replay.h"
#include "log_builder.h"
#include "replay_record.h"

namespace imasnap {
namespace {

using testing::BuiltRecord;
using testing::Concatenate;
using testing::EveryTemplate;
using testing::ImaRecord;
using testing::NgRecord;
using testing::ReplayRecord;

// Delivers its bytes one at a time, the hardest case for a streaming reader.
class DripSource : public ByteSource {
 public:
  explicit DripSource(ByteView bytes) : rest_(bytes) {}
  Result<size_t> Read(std::span<std::byte> out) override {
    if (rest_.empty() || out.empty()) {
      return size_t{0};
    }
    out[0] = rest_[0];
    rest_ = rest_.subspan(1);
    return size_t{1};
  }

 private:
  ByteView rest_;
};

struct ReadAll {
  uint64_t records = 0;
  std::string ascii;
  Bytes again;
  std::optional<Error> error;
};

ReadAll Drain(ByteSource& source, LogFormat format = {}) {
  ReadAll out;
  LogReader reader(source, format, "log");
  while (true) {
    auto next = reader.Next();
    if (!next.ok()) {
      out.error = next.error();
      return out;
    }
    if (*next == nullptr) {
      return out;
    }
    ++out.records;
    EXPECT_EQ((*next)->number, out.records);
    if ((*next)->tmpl != nullptr) {
      AppendAscii(**next, (*next)->digest, &out.ascii);
    }
    AppendBytes((*next)->raw, &out.again);
  }
}

ReadAll Drain(const Bytes& log, LogFormat format = {}) {
  SpanSource source(log);
  return Drain(source, format);
}

TEST(LogReaderTest, ReadsEveryTemplateByteByByte) {
  const Bytes log = Concatenate(EveryTemplate());
  DripSource source(log);
  const ReadAll all = Drain(source);
  ASSERT_FALSE(all.error) << all.error->ToString();
  EXPECT_EQ(all.records, EveryTemplate().size());
  EXPECT_EQ(all.again, log);
}

TEST(LogReaderTest, PrintsEveryTemplateAsTheKernelDoes) {
  // Lines written down from ima_ascii_measurements_show() and the field
  // functions of ima_template_lib.c, template digests left out.
  const std::string x1 = "11f6ad8ec52a2984abaafd7c3b516503785c2072";
  const std::string x256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
  const std::string x512 =
      "a4abd4448c49562d828115d13a1fccea927f52b4d5459297f8b43e42da89238bc13626e4"
      "3dcb38ddb082488927ec904fb42057443983e88585179d50551afe62";
  const std::string sig = "03020400ff20736967";
  const std::vector<std::string> expected = {
      " ima " + x1 + " /bin/x",
      " ima-ng sha256:" + x256 + " /usr/bin/x_y",
      " ima-ngv2 verity:sha512:" + x512 + " /usr/bin/x_y",
      " ima-sig sha256:" + x256 + " /usr/bin/x_y " + sig,
      " ima-sig sha256:" + x256 + " /usr/bin/x_y ",
      " ima-sigv2 verity:sha512:" + x512 + " /usr/bin/x_y " + sig,
      " ima-buf sha256:" + x256 + " kernel_version 372e332e34",
      " ima-modsig sha256:" + x256 + " /usr/bin/x_y " + sig + " sha1:" + x1 + " 30827a7a",
      " ima-modsig sha256:" + x256 + " /usr/bin/x_y   ",
      " evm-sig sha256:" + x256 + " /usr/bin/x_y " + sig +
          " security.ima|security.selinux 01020304 76616c756573 1000 "
          "4294967294 33261",
      " evm-sig sha256:" + x256 + " /usr/bin/x_y       ",
      " d|n " + x1 + " /old",
      " n-ng|d-ng|imode /usr/bin/x_y sha256:" + x256 + " 33261",
  };
  const auto records = EveryTemplate();
  std::string lines;
  for (size_t i = 0; i < records.size(); ++i) {
    lines += (records[i].pcr < 10 ? " " : "") + std::to_string(records[i].pcr) + " " +
             records[i].TemplateDigest(HashAlg::kSha1).Hex() + expected[i] + "\n";
  }
  EXPECT_EQ(Drain(Concatenate(records)).ascii, lines);
}

TEST(LogReaderTest, ReadsBankFilesAndBigEndianLogs) {
  for (HashAlg alg : {HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512}) {
    const ReadAll all = Drain(Concatenate(EveryTemplate(), alg), {alg});
    ASSERT_FALSE(all.error) << all.error->ToString();
    EXPECT_EQ(all.records, EveryTemplate().size());
  }
  const std::vector<BuiltRecord> records = {NgRecord("/a"), ImaRecord("/b")};
  const Bytes log = Concatenate(records, HashAlg::kSha1, ByteOrder::kBig);
  const ReadAll big = Drain(log, {HashAlg::kSha1, ByteOrder::kBig});
  ASSERT_FALSE(big.error) << big.error->ToString();
  EXPECT_EQ(big.records, 2U);
  // Found by the first record; not if the caller says otherwise.
  EXPECT_EQ(Drain(log).again, log);
  EXPECT_TRUE(Drain(log, {HashAlg::kSha1, ByteOrder::kLittle}).error);
}

TEST(LogReaderTest, BankFileReadWithTheWrongHeaderIsAnErrorAtRecordOne) {
  const ReadAll all = Drain(Concatenate(EveryTemplate(), HashAlg::kSha256));
  ASSERT_TRUE(all.error);
  EXPECT_EQ(all.records, 0U);
  EXPECT_EQ(all.error->code, ErrorCode::kMalformed);
  EXPECT_EQ(all.error->cause, Cause::kNotAList);
}

TEST(LogReaderTest, TruncationAtEveryByteIsFoundAndPlaced) {
  const auto records = EveryTemplate();
  const Bytes log = Concatenate(records);
  size_t boundary = 0;
  uint64_t whole = 0;
  for (size_t n = 0; n <= log.size(); ++n) {
    if (whole < records.size() && n == boundary + records[whole].Binary().size()) {
      boundary = n;
      ++whole;
    }
    const ReadAll all = Drain(Bytes(log.begin(), log.begin() + static_cast<ptrdiff_t>(n)));
    EXPECT_EQ(all.records, whole) << "at " << n;
    if (n == boundary) {
      EXPECT_FALSE(all.error) << "at " << n;
    } else {
      ASSERT_TRUE(all.error) << "at " << n;
      EXPECT_EQ(all.error->code, ErrorCode::kMalformed);
      EXPECT_EQ(all.error->record, whole + 1);
      EXPECT_EQ(all.error->offset, n);
      EXPECT_EQ(all.error->file, "log");
    }
  }
}

// Every flipped bit must be seen by the parser, by the template digest, or by
// the PCR that the log replays to. No digest covers the template's name: a record with
// an unknown one counts as not decoded.
TEST(LogReaderTest, EveryBitFlipIsNoticed) {
  const auto replay = [](const Bytes& log) -> std::optional<Digest> {
    SpanSource source(log);
    LogReader reader(source, {}, "log");
    Replay pcrs({{.alg = HashAlg::kSha256}});
    while (true) {
      auto next = reader.Next();
      if (!next.ok()) {
        return std::nullopt;
      }
      if (*next == nullptr) {
        break;
      }
      if ((*next)->tmpl == nullptr || !ReplayRecord(&pcrs, **next).ok()) {
        return std::nullopt;
      }
    }
    // All PCRs in one digest.
    Bytes values;
    for (uint32_t pcr = 0; pcr < kMaxPcr; ++pcr) {
      AppendBytes(pcrs.Value(0, pcr).view(), &values);
    }
    return testing::HashOf(HashAlg::kSha256, values);
  };
  const Bytes log = Concatenate(EveryTemplate());
  const auto good = replay(log);
  ASSERT_TRUE(good);
  for (size_t bit = 0; bit < log.size() * 8; ++bit) {
    Bytes bad = log;
    bad[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_NE(replay(bad), good) << "bit " << bit;
  }
}

TEST(LogReaderTest, GrowingSourceContinuesAfterItsEnd) {
  class Growing : public ByteSource {
   public:
    Bytes bytes;
    size_t at = 0;
    Result<size_t> Read(std::span<std::byte> out) override {
      const size_t n = std::min(out.size(), bytes.size() - at);
      std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(at), n, out.begin());
      at += n;
      return n;
    }
  };
  Growing source;
  source.bytes = NgRecord("/a").Binary();
  LogReader reader(source, {}, "log");
  ASSERT_TRUE(reader.Next().ok());
  EXPECT_EQ(reader.Next().value(), nullptr);
  AppendBytes(NgRecord("/b").Binary(), &source.bytes);
  auto next = reader.Next();
  ASSERT_TRUE(next.ok());
  ASSERT_NE(*next, nullptr);
  EXPECT_EQ((*next)->event_name(), "/b");
  EXPECT_EQ((*next)->number, 2U);
}

struct Refusal {
  const char* name;
  BuiltRecord record;
  size_t offset;  // in the record
  Cause cause;
};

class RefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(RefusalTest, IsRefusedAtTheSecondRecord) {
  const Bytes log = Concatenate({NgRecord("/first"), GetParam().record});
  const ReadAll all = Drain(log);
  EXPECT_EQ(all.records, 1U);
  ASSERT_TRUE(all.error);
  EXPECT_EQ(all.error->record, 2U);
  EXPECT_EQ(all.error->offset, NgRecord("/first").Binary().size() + GetParam().offset);
  EXPECT_EQ(all.error->cause, GetParam().cause) << all.error->message;
}

const Bytes kNg = testing::DigestNg("sha256", testing::HashOf(HashAlg::kSha256, "x").view());
const Bytes kName = testing::NameField("/x");
// Where the name of the template begins, and the first field of ima-ng's data.
constexpr size_t kTemplate = 4 + 20 + 4;
constexpr size_t kData = kTemplate + 6 + 4;
const size_t kSecond = kData + 4 + kNg.size();  // the second field's length

INSTANTIATE_TEST_SUITE_P(
    Records, RefusalTest,
    ::testing::Values(
        Refusal{"Pcr", NgRecord("/x", 64), 0, Cause::kOutOfRange},
        Refusal{"NameNotPrintable",
                {10, "ima ng", {kNg, kName}, false},
                kTemplate + 3,
                Cause::kNotPrintable},
        Refusal{"MissingField",
                {10, "ima-sig", {kNg, kName}, false},
                kSecond + 1 + 4 + kName.size(),
                Cause::kMissing},
        Refusal{"ExtraField",
                {10, "ima-ng", {kNg, kName, kName}, false},
                kSecond + 4 + kName.size(),
                Cause::kTrailingBytes},
        Refusal{
            "NoAlgorithm", {10, "ima-ng", {kName, kName}, false}, kData + 4, Cause::kNoAlgorithm},
        Refusal{"DigestLength",
                {10,
                 "ima-ng",
                 {testing::DigestNg("sha256", Digest::Filled(20, std::byte{1}).view()), kName},
                 false},
                kData + 4,
                Cause::kWrongLength},
        Refusal{"NameWithoutNul",
                {10, "ima-ng", {kNg, testing::RawField("/x")}, false},
                kSecond + 4,
                Cause::kNoTerminator},
        Refusal{"NulInName",
                {10, "ima-ng", {kNg, testing::RawField(std::string_view("/x\0y\0", 5))}, false},
                kSecond + 4,
                Cause::kNoTerminator},
        Refusal{"EmptyDigest", {10, "ima-ng", {{}, kName}, false}, kData + 4, Cause::kEmpty},
        Refusal{
            "DigestType",
            {10,
             "ima-ngv2",
             {testing::DigestNgV2("imb", "sha256", testing::HashOf(HashAlg::kSha256, "x").view()),
              kName},
             false},
            kData + 2 + 4,
            Cause::kDigestType},
        Refusal{"UintSize",
                {10, "n-ng|imode", {kName, testing::RawField("abcd")}, false},
                kTemplate + 10 + 4 + 4 + kName.size() + 4,
                Cause::kWrongLength},
        Refusal{"ImaNameTooLong", ImaRecord(std::string(256, 'x')), kTemplate + 3 + 20,
                Cause::kWrongLength}),
    [](const auto& p) { return p.param.name; });

TEST(LogReaderTest, HugeLengthsAreRefusedWithoutMemory) {
  Bytes log = NgRecord("/x").Binary();
  const size_t at = 4 + 20 + 4 + 6;
  for (size_t i = 0; i < 4; ++i) {
    log[at + i] = std::byte{0xff};
  }
  const ReadAll all = Drain(log);
  ASSERT_TRUE(all.error);
  EXPECT_EQ(all.error->offset, at);
  EXPECT_EQ(all.error->cause, Cause::kWrongLength);
}

// The kernel's own templates always are.
TEST(LogReaderTest, OnlySoManyFormatsAreDecoded) {
  Bytes log;
  for (int i = 0; i < 65; ++i) {
    BuiltRecord record = NgRecord("/x");
    record.template_name = "d-ng|n-ng";
    for (int bit = 0; bit < 7; ++bit) {
      const bool set = (i >> bit & 1) != 0;
      record.template_name += set ? "|iuid" : "|igid";
      record.fields.push_back({4, std::byte{0}});
    }
    AppendBytes(record.Binary(), &log);
  }
  SpanSource source(log);
  LogReader reader(source, {}, "log");
  for (int i = 0; i < 64; ++i) {
    const auto record = reader.Next();
    ASSERT_TRUE(record.ok()) << i;
    EXPECT_NE((*record)->tmpl, nullptr);
  }
  const auto many = reader.Next();
  ASSERT_TRUE(many.ok());
  EXPECT_EQ((*many)->tmpl, nullptr);
}

TEST(LogReaderTest, NamesInMessagesArePrintable) {
  EXPECT_EQ(Printable("/usr/bin/a b~"), "/usr/bin/a b~");
  EXPECT_EQ(Printable("\r\x1b[2K\xff"), "\\x0d\\x1b[2K\\xff");
  EXPECT_EQ(Printable(std::string(300, 'x')), std::string(256, 'x') + "...");
}

TEST(LogReaderTest, TemplatesThatAreNotKnownAreReadButNotDecoded) {
  const BuiltRecord future = {10, "ima-future", {kNg, kName, kName}, false};
  const Bytes log = Concatenate({future, NgRecord("/x")});
  SpanSource source(log);
  LogReader reader(source, {}, "log");
  auto first = reader.Next();
  ASSERT_TRUE(first.ok()) << first.error().ToString();
  EXPECT_EQ((*first)->template_name, "ima-future");
  EXPECT_EQ((*first)->tmpl, nullptr);
  EXPECT_EQ((*first)->fields.size(), 3U);
  EXPECT_EQ((*first)->event_name(), "");
  const Status decoded = CheckDecoded(**first, "log");
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().cause, Cause::kUnknownName);
  ASSERT_TRUE(reader.Next().ok());
  EXPECT_EQ(reader.Next().value(), nullptr);
  EXPECT_EQ(reader.records(), 2U);
  EXPECT_EQ(reader.bytes(), log.size());
}

}  // namespace
}  // namespace imasnap
