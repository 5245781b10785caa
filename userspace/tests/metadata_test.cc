// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "world.h"

namespace imasnap {
namespace {

using testing::kBoot1;
using testing::World;

TEST(MetadataTest, RoundTripsAndRefusesWhatItDoesNotKnow) {
  SegmentInfo info;
  info.number = 3;
  info.attempt = 4;
  info.records = 5;
  info.bytes = 600;
  info.sha256 = testing::HashOf(HashAlg::kSha256, "x");
  info.first_record = 7;
  info.last_record = 11;
  info.taken = "2026-01-02T03:04:05Z";
  info.kernel = "7.3.0";
  info.state = SegmentState::kPurged;
  info.supersedes = 2;
  info.banks = {{"sha256", {{0, testing::HashOf(HashAlg::kSha256, "0")}}}};
  const std::string text = FormatSegment(info);
  EXPECT_EQ(ParseSegment(text, "f").value(), info);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"format\": 1", "\"format\": 2"},
           {"\"attempt\": 4", "\"attempt\": -4"},
           {"\"attempt\": 4", "\"attempt\": \"4\""},
           {"\"attempt\"", "\"attemps\""},
           {"\"purged\"", "\"gone\""},
           {info.sha256.Hex(), info.sha256.Hex().substr(2)},
           {"\"0\"", "\"24\""},
           {"{", "["},
       }) {
    std::string bad = text;
    ASSERT_NE(bad.find(from), std::string::npos) << from;
    bad.replace(bad.find(from), from.size(), to);
    auto parsed = ParseSegment(bad, "f");
    EXPECT_FALSE(parsed.ok()) << to;
  }
  for (size_t n = 0; n + 2 < text.size(); ++n) {
    EXPECT_FALSE(ParseSegment(text.substr(0, n), "f").ok()) << n;
  }
  const SessionInfo session{9, "2026-01-02T03:04:05Z", "7.3.0", 17, "m", "b", "c", "d"};
  const std::string formatted = FormatSession(session);
  EXPECT_EQ(ParseSession(formatted, "f").value(), session);
  for (const char* member : {"machine", "boot", "last_boot", "closed"}) {
    std::string without = formatted;
    const size_t at = without.find(std::string(",\n  \"") + member + '"');
    without.erase(at, without.find('\n', at + 2) - at);
    EXPECT_FALSE(ParseSession(without, "f").ok()) << member;
  }
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"{\n", "{\n  \"more\": 1,\n"},
           {"  \"session\": 9,\n", "  \"session\": 9,\n  \"session\": 9,\n"},
           {"\"m\"", "7"},
           {"\n", ""},
       }) {
    std::string bad = formatted;
    ASSERT_NE(bad.find(from), std::string::npos) << from;
    bad.replace(bad.find(from), from.size(), to);
    EXPECT_FALSE(ParseSession(bad, "f").ok()) << to;
  }
  EXPECT_FALSE(ParseSession(text, "f").ok());
}

TEST(MetadataTest, ControlCharactersOfANameAreNotPrinted) {
  std::string text = FormatSession({});
  text.insert(1, "\"evil\\nOK\\u001b[2J\": 1,");
  const auto parsed = ParseSession(text, "f");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().cause, Cause::kSyntax);
  for (const char c : parsed.error().message) {
    EXPECT_GE(c, ' ');
  }
}

TEST(MetadataTest, StringsAndBanksAreBounded) {
  SessionInfo session;
  session.machine = std::string(256, 'm');
  EXPECT_TRUE(ParseSession(FormatSession(session), "f").ok());
  session.machine += 'm';
  const auto long_text = ParseSession(FormatSession(session), "f");
  ASSERT_FALSE(long_text.ok());
  EXPECT_EQ(long_text.error().cause, Cause::kSyntax);
  SegmentInfo segment;
  segment.sha256 = testing::HashOf(HashAlg::kSha256, "x");
  for (char bank = 'a'; bank < 'a' + 16; ++bank) {
    segment.banks.push_back({std::string(1, bank), {}});
    for (uint32_t pcr = 0; pcr < kTpmPcrs; ++pcr) {
      segment.banks.back().pcrs[pcr] = Digest::Filled(64, std::byte{1});
    }
  }
  const std::string largest = FormatSegment(segment);
  EXPECT_TRUE(ParseSegment(largest, "f").ok());
  EXPECT_LT(largest.size() * 4, kMaxMetadata);
  segment.banks.push_back({"z", {}});
  const auto many_banks = ParseSegment(FormatSegment(segment), "f");
  ASSERT_FALSE(many_banks.ok());
  EXPECT_EQ(many_banks.error().cause, Cause::kSyntax);
}

TEST(MetadataTest, FileThatIsTooLargeIsNotRead) {
  World world;
  ASSERT_TRUE(world.Take().ok());
  const std::string info = world.SegmentPath(1) + ".json";
  world.fs.Write(info, *world.fs.Read(info) + std::string(kMaxMetadata, ' '));
  const auto session = world.Env().store().Load(1);
  ASSERT_TRUE(session.ok());
  EXPECT_FALSE(session->segments[0].info);
  EXPECT_EQ(session->segments[0].info_error->cause, Cause::kTooLarge);
  EXPECT_EQ(session->segments[0].info_error->file, info);
  const std::string file = kBoot1 + "/session.json";
  world.fs.Write(file, *world.fs.Read(file) + std::string(kMaxMetadata, ' '));
  EXPECT_FALSE(world.Env().store().Load(1).ok());
}

TEST(MetadataTest, BanksAreReadInTheOrderOfTheirNames) {
  SegmentInfo info;
  info.sha256 = testing::HashOf(HashAlg::kSha256, "x");
  info.banks = {{"sha256",
                 {{2, testing::HashOf(HashAlg::kSha256, "2")},
                  {10, testing::HashOf(HashAlg::kSha256, "10")}}},
                {"sha1", {{10, testing::HashOf(HashAlg::kSha1, "10")}}}};
  const auto parsed = ParseSegment(FormatSegment(info), "f");
  ASSERT_TRUE(parsed.ok()) << parsed.error().ToString();
  std::swap(info.banks[0], info.banks[1]);
  EXPECT_EQ(*parsed, info);
}

// The TPM's count has 32 bits: one that has more must not be cut to another.
TEST(MetadataTest, ResetCountHasThirtyTwoBits) {
  const auto with = [](const std::string& count) {
    SessionInfo info;
    info.reset_count = 5;
    std::string text = FormatSession(info);
    text.replace(text.find("\"tpm_reset_count\": 5"), 20, "\"tpm_reset_count\": " + count);
    return ParseSession(text, "session.json");
  };
  EXPECT_EQ(with("4294967295")->reset_count, 4294967295U);
  EXPECT_EQ(with("null")->reset_count, std::nullopt);
  for (const char* bad : {"4294967296", "4294967301", "-5", "5.0", "true"}) {
    EXPECT_FALSE(with(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace imasnap
