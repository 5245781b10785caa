// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "log_builder.h"
#include "replay_record.h"

namespace imasnap {
namespace {

using testing::BuiltRecord;
using testing::Concatenate;
using testing::EveryTemplate;
using testing::HashOf;
using testing::NgRecord;
using testing::ReplayRecord;
using testing::Violation;

Digest Extend(HashAlg alg, const Digest& old, ByteView with) {
  Bytes both;
  AppendBytes(old.view(), &both);
  AppendBytes(with, &both);
  return HashOf(alg, both);
}

Replay MustReplay(const Bytes& log, const std::vector<Bank>& banks) {
  Replay replay(banks);
  SpanSource source(log);
  LogReader reader(source, {}, "log");
  while (true) {
    auto next = reader.Next();
    EXPECT_TRUE(next.ok());
    if (!next.ok() || *next == nullptr) {
      return replay;
    }
    EXPECT_TRUE(ReplayRecord(&replay, **next).ok());
  }
}

const std::vector<HashAlg> kAll = {HashAlg::kSha1,     HashAlg::kSha256,  HashAlg::kSha384,
                                   HashAlg::kSha512,   HashAlg::kSm3,     HashAlg::kSha3_256,
                                   HashAlg::kSha3_384, HashAlg::kSha3_512};

TEST(ReplayTest, ExtendsEveryBankAndPcrOfEveryTemplate) {
  std::vector<Bank> banks;
  for (HashAlg alg : kAll) {
    banks.push_back({.alg = alg});
  }
  const auto records = EveryTemplate();
  const Replay replay = MustReplay(Concatenate(records), banks);
  for (size_t b = 0; b < kAll.size(); ++b) {
    std::map<uint32_t, Digest> expected;
    for (const BuiltRecord& record : records) {
      auto it =
          expected.emplace(record.pcr, Digest::Filled(DigestSize(kAll[b]), std::byte{0})).first;
      it->second = Extend(kAll[b], it->second, record.TemplateDigest(kAll[b]).view());
    }
    for (const auto& [pcr, value] : expected) {
      EXPECT_EQ(replay.Value(b, pcr).Hex(), value.Hex());
    }
  }
  EXPECT_THAT(replay.UsedPcrs(), ::testing::ElementsAre(5, 10, 11));
  EXPECT_EQ(replay.records(), records.size());
}

TEST(ReplayTest, ViolationExtendsOnesAndIsCounted) {
  const Replay replay = MustReplay(Concatenate({Violation("/v"), NgRecord("/a")}),
                                   {{.alg = HashAlg::kSha1}, {.alg = HashAlg::kSha384}});
  EXPECT_EQ(replay.violations(), 1U);
  for (size_t b = 0; b < 2; ++b) {
    const HashAlg alg = replay.bank(b).alg;
    const size_t size = DigestSize(alg);
    Digest value = Extend(alg, Digest::Filled(size, std::byte{0}),
                          Digest::Filled(size, std::byte{0xff}).view());
    EXPECT_EQ(replay.ValueBefore(b, 10).Hex(), value.Hex());
    value = Extend(alg, value, NgRecord("/a").TemplateDigest(alg).view());
    EXPECT_EQ(replay.Value(b, 10).Hex(), value.Hex());
  }
}

TEST(ReplayTest, BankWithoutItsHashInTheKernelIsExtendedWithPaddedSha1) {
  const Replay replay =
      MustReplay(Concatenate({NgRecord("/a"), Violation("/v")}),
                 {{.alg = HashAlg::kSha512, .padded_sha1 = true},
                  {.alg = HashAlg::kSha3_256, .padded_sha1 = true, .unmapped = true}});
  for (size_t b = 0; b < 2; ++b) {
    const HashAlg alg = replay.bank(b).alg;
    const size_t size = DigestSize(alg);
    Digest padded = Digest::Filled(size, std::byte{0});
    const Digest sha1 = NgRecord("/a").TemplateDigest(HashAlg::kSha1);
    std::copy_n(sha1.bytes.begin(), 20, padded.bytes.begin());
    const Digest first = Extend(alg, Digest::Filled(size, std::byte{0}), padded.view());
    Digest ones = Digest::Filled(size, std::byte{0});
    std::fill_n(ones.bytes.begin(), b == 0 ? size : 20, std::byte{0xff});
    EXPECT_EQ(replay.ValueBefore(b, 10).Hex(), first.Hex());
    EXPECT_EQ(replay.Value(b, 10).Hex(), Extend(alg, first, ones.view()).Hex());
  }
}

TEST(ReplayTest, WrongHeaderDigestIsAMismatchThatExtendsNothing) {
  Bytes log = Concatenate({NgRecord("/a"), NgRecord("/b")});
  const size_t second = NgRecord("/a").Binary().size();
  log[second + 4] ^= std::byte{1};
  SpanSource source(log);
  LogReader reader(source, {}, "log");
  Replay replay({{.alg = HashAlg::kSha256}});
  ASSERT_TRUE(ReplayRecord(&replay, **reader.Next()).ok());
  const Digest before = replay.Value(0, 10);
  const Status status = ReplayRecord(&replay, **reader.Next());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(status.error().record, 2U);
  EXPECT_EQ(status.error().offset, second);
  EXPECT_EQ(status.error().cause, Cause::kTemplateDigest);
  EXPECT_EQ(status.error().expected, ToHex(ByteView(log).subspan(second + 4, 20)));
  EXPECT_EQ(status.error().found, NgRecord("/b").TemplateDigest(HashAlg::kSha1).Hex());
  EXPECT_EQ(replay.Value(0, 10), before);
  EXPECT_EQ(replay.records(), 1U);
}

TEST(ReplayTest, ResetValuesAreThoseOfAPc) {
  for (uint32_t pcr = 0; pcr < kTpmPcrs; ++pcr) {
    const std::string hex = ResetValue(HashAlg::kSha256, pcr).Hex();
    EXPECT_EQ(hex, std::string(64, pcr >= 17 && pcr <= 22 ? 'f' : '0'));
  }
}

TEST(ReplayTest, BankNames) {
  EXPECT_EQ(BankFromName("sha384"), Bank{.alg = HashAlg::kSha384});
  EXPECT_EQ(BankFromName("sm3-256"), Bank{.alg = HashAlg::kSm3});
  EXPECT_EQ(BankFromName("tpm_alg_27"), (Bank{HashAlg::kSha3_256, true, true}));
  EXPECT_FALSE(BankFromName("tpm_alg_99"));
  EXPECT_FALSE(BankFromName("tpm_alg_2g"));
  EXPECT_FALSE(BankFromName("SHA256"));
}

}  // namespace
}  // namespace imasnap
