// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/aggregate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "log/replay.h"
#include "log_builder.h"

namespace imasnap {
namespace {

Aggregate Sample() {
  Aggregate out;
  out.attempt = 7;
  out.record_count = 43;
  out.segment_hash = testing::HashOf(HashAlg::kSha256, "segment");
  for (const char* name : {"sha1", "sha256", "tpm_alg_27"}) {
    Aggregate::BankValues bank;
    bank.name = name;
    for (uint32_t pcr = 0; pcr < 24; ++pcr) {
      bank.pcrs[pcr] = testing::HashOf(BankFromName(name)->alg, std::to_string(pcr));
    }
    out.banks.push_back(bank);
  }
  out.banks[1].pcrs.erase(5);
  return out;
}

TEST(AggregateTest, ParsesTheGrammarOfTheRfcWithItsTail) {
  const std::string zeros(40, '0');
  const std::string text = "Snapshot_Attempt_Count=7;sha1:PCR0:0x" + zeros + ",sha1:PCR23:0x" +
                           std::string(40, 'F') +
                           ";Record_Count=12;Segment_Hash=sha256:" + std::string(64, 'a') + ";";
  auto parsed = ParseAggregate(AsBytes(text));
  ASSERT_TRUE(parsed.ok()) << parsed.error().ToString();
  EXPECT_EQ(parsed->attempt, 7U);
  ASSERT_EQ(parsed->banks.size(), 1U);
  EXPECT_EQ(parsed->banks[0].name, "sha1");
  EXPECT_EQ(parsed->banks[0].pcrs.size(), 2U);
  EXPECT_EQ(parsed->banks[0].pcrs[23].Hex(), std::string(40, 'f'));
  EXPECT_EQ(parsed->record_count, 12U);
  EXPECT_EQ(parsed->segment_hash.Hex(), std::string(64, 'a'));
}

TEST(AggregateTest, RoundTripsWithAndWithoutBanks) {
  Aggregate aggregate = Sample();
  auto parsed = ParseAggregate(AsBytes(FormatAggregate(aggregate)));
  ASSERT_TRUE(parsed.ok()) << parsed.error().ToString();
  EXPECT_EQ(*parsed, aggregate);
  aggregate.banks.clear();
  const std::string text = FormatAggregate(aggregate);
  EXPECT_EQ(text,
            "Snapshot_Attempt_Count=7;Record_Count=43;Segment_Hash="
            "sha256:" +
                aggregate.segment_hash.Hex() + ";");
  EXPECT_EQ(ParseAggregate(AsBytes(text)).value(), aggregate);
}

TEST(AggregateTest, EveryTruncationIsRefused) {
  const std::string text = FormatAggregate(Sample());
  for (size_t n = 0; n < text.size(); ++n) {
    EXPECT_FALSE(ParseAggregate(AsBytes(text.substr(0, n))).ok()) << n;
  }
}

// What is accepted is written back byte for byte: no two texts mean the same.
TEST(AggregateTest, EveryBitFlipIsRefusedOrMeansSomethingElse) {
  const Aggregate good = Sample();
  const std::string text = FormatAggregate(good);
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string bad = text;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    auto parsed = ParseAggregate(AsBytes(bad));
    if (parsed.ok()) {
      EXPECT_NE(*parsed, good) << "bit " << bit;
      EXPECT_EQ(FormatAggregate(*parsed), bad) << "bit " << bit;
    }
  }
}

struct Bad {
  const char* name;
  std::string text;
  size_t offset;
  Cause cause;
};
class BadAggregateTest : public ::testing::TestWithParam<Bad> {};

TEST_P(BadAggregateTest, IsRefused) {
  auto parsed = ParseAggregate(AsBytes(GetParam().text));
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::kMalformed);
  EXPECT_EQ(parsed.error().offset, GetParam().offset);
  EXPECT_EQ(parsed.error().cause, GetParam().cause) << parsed.error().message;
}

const std::string kHead = "Snapshot_Attempt_Count=1;";
const std::string kTail = "Record_Count=1;Segment_Hash=sha256:" + std::string(64, 'a') + ";";
const std::string kPcr = ":0x" + std::string(40, '0');

INSTANTIATE_TEST_SUITE_P(
    Texts, BadAggregateTest,
    ::testing::Values(
        Bad{"LeadingZero", "Snapshot_Attempt_Count=01;" + kTail, 23, Cause::kNotDecimal},
        Bad{"Sign", "Snapshot_Attempt_Count=-1;" + kTail, 23, Cause::kNotDecimal},
        Bad{"TooLarge", "Snapshot_Attempt_Count=18446744073709551616;" + kTail, 23,
            Cause::kNotDecimal},
        Bad{"Nul", kHead + kTail + std::string(1, '\0'), kHead.size() + kTail.size(),
            Cause::kTrailingBytes},
        Bad{"Newline", kHead + kTail + "\n", kHead.size() + kTail.size(), Cause::kTrailingBytes},
        Bad{"Pcr24", kHead + "sha1:PCR24" + kPcr + ";" + kTail, kHead.size() + 10,
            Cause::kOutOfRange},
        Bad{"PcrOrder", kHead + "sha1:PCR2" + kPcr + ",sha1:PCR1" + kPcr + ";" + kTail,
            kHead.size() + 9 + kPcr.size() + 10, Cause::kWrongOrder},
        Bad{"PcrTwice", kHead + "sha1:PCR2" + kPcr + ",sha1:PCR2" + kPcr + ";" + kTail,
            kHead.size() + 9 + kPcr.size() + 10, Cause::kWrongOrder},
        Bad{"LowerHex", kHead + "sha1:PCR0:0x" + std::string(40, 'a') + ";" + kTail,
            kHead.size() + 12, Cause::kNotHexadecimal},
        Bad{"UpperHash", kHead + "Record_Count=1;Segment_Hash=sha256:" + std::string(64, 'A') + ";",
            kHead.size() + 35, Cause::kNotHexadecimal},
        Bad{"ShortHash", kHead + "Record_Count=1;Segment_Hash=sha256:" + std::string(62, 'a') + ";",
            kHead.size() + 35 + 62, Cause::kWrongLength},
        Bad{"ShortPcr", kHead + "sha1:PCR0:0x" + std::string(38, '0') + ";" + kTail,
            kHead.size() + 12 + 38, Cause::kWrongLength},
        Bad{"BankInBank", kHead + "sha1:PCR0" + kPcr + ",sha256:PCR1" + kPcr + ";" + kTail,
            kHead.size() + 9 + kPcr.size() + 1 + 6, Cause::kSyntax},
        Bad{"BankTwice", kHead + "sha1:PCR0" + kPcr + ";sha1:PCR1" + kPcr + ";" + kTail,
            kHead.size() + 2 * (9 + kPcr.size() + 1), Cause::kDuplicate},
        Bad{"EmptyBank", kHead + ";" + kTail, kHead.size(), Cause::kMissing}),
    [](const auto& p) { return p.param.name; });

TEST(AggregateTest, HasNoMoreBanksThanATpmCanHave) {
  const auto text = [](int banks) {
    std::string all = kHead;
    for (int i = 0; i < banks; ++i) {
      all += fmt::format("tpm_alg_{:x}:PCR1:0x00;", 0x1000 + i);
    }
    return all + kTail;
  };
  EXPECT_TRUE(ParseAggregate(AsBytes(text(16))).ok());
  const auto refused = ParseAggregate(AsBytes(text(17)));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().cause, Cause::kTooMany);
}

TEST(AggregateTest, RecordMustHashItsBuffer) {
  auto record = testing::BufRecord(kAggregateEvent, FormatAggregate(Sample()));
  const Bytes good = record.Binary();
  record.fields[0] = testing::BufRecord("x", "other").fields[0];
  const Bytes bad = record.Binary();
  SpanSource good_source(good);
  LogReader good_reader(good_source, {}, "log");
  const Record* read = good_reader.Next().value();
  ASSERT_TRUE(IsAggregate(*read));
  // A key of a keyring that a user gave this name.
  const Bytes key = testing::BufRecord(kAggregateEvent, "\x30\x82 a certificate").Binary();
  SpanSource key_source(key);
  LogReader key_reader(key_source, {}, "log");
  EXPECT_FALSE(IsAggregate(*key_reader.Next().value()));
  EXPECT_EQ(AggregateFromRecord(*read).value(), Sample());
  SpanSource bad_source(bad);
  LogReader bad_reader(bad_source, {}, "log");
  auto refused = AggregateFromRecord(*bad_reader.Next().value());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(refused.error().record, 1U);
}

}  // namespace
}  // namespace imasnap
