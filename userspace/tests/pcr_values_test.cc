// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm/pcr_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imasnap {
namespace {

const std::string kSha1(40, 'a');
const std::string kSha256(64, 'B');

TEST(PcrValuesTest, ReadsWhatTpm2PcrreadPrints) {
  auto values = ParsePcrText("  sha1:\n    0 : 0x" + kSha1 + "\n    10: 0x" + kSha1 +
                                 "\n  sha256:\n    10: 0x" + kSha256 + "\n  sha384:\n",
                             "pcrs");
  ASSERT_TRUE(values.ok()) << values.error().ToString();
  EXPECT_EQ(values->at("sha1").size(), 2U);
  EXPECT_EQ(values->at("sha256").at(10).Hex(), std::string(64, 'b'));
  EXPECT_TRUE(values->at("sha384").empty());
}

// Of tpm2-tools 5.4, with long values cut short.
const char kTpm2Quote[] =
    R"(quoted: ff54434780180022000b831db65795acdf383e19a89d339e8eb102129064a441
signature:
  alg: rsassa
  sig: b85c3642ce9dc51ffcce1ab9b7b6d6cf
pcrs:
  sha1:
    10: 0x0000000000000000000000000000000000000000
  sha256:
    10: 0x0000000000000000000000000000000000000000000000000000000000000000
    11: 0x0000000000000000000000000000000000000000000000000000000000000000
calcDigest: 4fea5e6a3ec5f5474a26d858bc77b6d7bd3ab864ea02d988683fdc648602b248
)";
const char kTpm2Checkquote[] = R"(pcrs:
  sha1:
    10: 0x0000000000000000000000000000000000000000
  sha256:
    10: 0x0000000000000000000000000000000000000000000000000000000000000000
    11: 0x0000000000000000000000000000000000000000000000000000000000000000
sig: b85c3642ce9dc51ffcce1ab9b7b6d6cf
)";

TEST(PcrValuesTest, ReadsWhatTpm2QuoteAndTpm2CheckquotePrint) {
  for (const char* printed : {kTpm2Quote, kTpm2Checkquote}) {
    const auto values = ParsePcrText(printed, "pcrs");
    ASSERT_TRUE(values.ok()) << values.error().ToString();
    EXPECT_EQ(values->size(), 2U);
    EXPECT_EQ(values->at("sha1").at(10).Hex(), std::string(40, '0'));
    EXPECT_EQ(values->at("sha256").size(), 2U);
  }
}

TEST(PcrValuesTest, KnowsTheBanksByTheNamesOfTheTools) {
  const auto values = ParsePcrText("sm3_256:\n  10: 0x" + kSha256 + "\nsha3_256:\n  10: 0x" +
                                       kSha256 + "\nsha3_384:\ntpm_alg_0027:\n",
                                   "pcrs");
  ASSERT_TRUE(values.ok()) << values.error().ToString();
  EXPECT_EQ(values->at("sm3").size(), 1U);
  EXPECT_EQ(values->at("sha3-256").size(), 1U);
  EXPECT_EQ(values->count("sha3-384"), 1U);
  EXPECT_EQ(values->count("tpm_alg_0027"), 1U);
}

TEST(PcrValuesTest, BankThatNobodyKnowsDoesNotSpoilTheOthers) {
  for (const std::string unknown : {"shake256:\n", "shake256:\n  10: 0x0102\n"}) {
    const auto values = ParsePcrText(unknown + "sha256:\n  10: 0x" + kSha256 + "\n", "pcrs");
    ASSERT_TRUE(values.ok()) << values.error().ToString();
    EXPECT_EQ(values->at("sha256").size(), 1U);
    EXPECT_EQ(values->count("shake256"), 1U);
  }
}

TEST(PcrValuesTest, ReadsTheKernelsFormWithAndWithoutSpaces) {
  std::string spaced;
  for (int i = 0; i < 20; ++i) {
    spaced += "AA ";
  }
  auto values = ParsePcrText(
      "PCR-00: " + spaced + "\nPCR-10: " + kSha1 + "\nPCR-23: " + kSha256 + "\n", "pcrs");
  ASSERT_TRUE(values.ok()) << values.error().ToString();
  EXPECT_EQ(values->at("sha1").at(0).Hex(), kSha1);
  EXPECT_EQ(values->at("sha1").at(10).Hex(), kSha1);
  EXPECT_EQ(values->at("sha256").at(23).Hex(), std::string(64, 'b'));
}

struct BadPcrs {
  const char* name;
  std::string text;
  std::optional<uint64_t> line;
  Cause cause;
};
class BadPcrsTest : public ::testing::TestWithParam<BadPcrs> {};

TEST_P(BadPcrsTest, IsRefusedAsNotCheckable) {
  auto values = ParsePcrText(GetParam().text, "pcrs");
  ASSERT_FALSE(values.ok());
  EXPECT_EQ(values.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(values.error().file, "pcrs");
  EXPECT_EQ(values.error().line, GetParam().line);
  EXPECT_EQ(values.error().cause, GetParam().cause) << values.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Texts, BadPcrsTest,
    ::testing::Values(
        BadPcrs{"Empty", "", std::nullopt, Cause::kEmpty},
        BadPcrs{"OnlyABank", "sha256:\n", std::nullopt, Cause::kEmpty},
        BadPcrs{"Prose", "hello\n", 1, Cause::kSyntax},
        BadPcrs{"Bank", "SHA 256:\n  1: 0x00\n", 1, Cause::kUnknownName},
        BadPcrs{"ValueOutsideABank", "sha1:\npcrs:\n 10: 0x" + kSha1 + "\n", 3, Cause::kMissing},
        BadPcrs{"NoBank", "  10: 0x" + kSha1 + "\n", 1, Cause::kMissing},
        BadPcrs{"Pcr24", "PCR-24: " + kSha1 + "\n", 1, Cause::kOutOfRange},
        BadPcrs{"Hex", "PCR-10: " + kSha1.substr(1) + "g\n", 1, Cause::kNotHexadecimal},
        BadPcrs{"Length", "PCR-10: " + kSha1 + "00\n", 1, Cause::kWrongLength},
        BadPcrs{"LengthOfBank", "sha256:\n 10: 0x" + kSha1 + "\n", 2, Cause::kWrongLength},
        BadPcrs{"Twice", "PCR-10: " + kSha1 + "\nPCR-10: " + kSha1 + "\n", 2, Cause::kDuplicate},
        BadPcrs{"No0x", "sha1:\n 10: " + kSha1 + "\n", 2, Cause::kNotHexadecimal}),
    [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace imasnap
