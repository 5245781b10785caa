// SPDX-License-Identifier: GPL-2.0-or-later
//
// `cat` of a part of the log, as RFC 9684 lets a verifier ask for it, and of Canonical
// Event Logs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "cli_fixture.h"
#include "log/replay.h"

namespace imasnap::cli {
namespace {

using imasnap::testing::HashOf;
using ::testing::IsEmpty;
using Json = nlohmann::json;

class LogPartTest : public CliTest {
 protected:
  void SetUp() override {
    for (int i = 0; i < 3; ++i) {
      world_.kernel.MeasureFiles(6);
      ASSERT_EQ(Run({"take"}).code, 0);
    }
    world_.kernel.MeasureFiles(2);
    const Bytes all = world_.kernel.Everything();
    LogReader reader(all, {}, "all");
    while (const Record* record = reader.Next().value()) {
      ends_.push_back(record->offset + record->raw.size());
      sha256_.push_back(HashOf(HashAlg::kSha256, record->template_data).Hex());
      sha1_.push_back(ToHex(record->digest));
    }
    all_ = AsText(all);
  }
  // Records from to last, in binary.
  std::string Binary(size_t from, size_t last) const {
    const size_t begin = from == 1 ? 0 : ends_[from - 2];
    return all_.substr(begin, ends_[last - 1] - begin);
  }

  std::string all_;
  std::vector<size_t> ends_;
  std::vector<std::string> sha1_;
  std::vector<std::string> sha256_;
};

TEST_F(LogPartTest, CountEndsAnywhere) {
  for (size_t from = 1; from <= ends_.size(); ++from) {
    for (size_t last = from; last <= ends_.size(); ++last) {
      const Ran ran =
          Run({"cat", "--from", std::to_string(from), "--count", std::to_string(last - from + 1)});
      ASSERT_EQ(ran.code, 0) << ran.err;
      ASSERT_EQ(ran.out, Binary(from, last)) << from << " to " << last;
    }
  }
  EXPECT_EQ(Run({"cat", "--count", "1000"}).out, all_);
  EXPECT_EQ(Run({"cat", "--count", "0"}).code, 2);
  for (const std::string format : {"--ascii", "--json"}) {
    const std::string lines = Run({"cat", format, "--from", "5", "--count", "4"}).out;
    EXPECT_EQ(std::ranges::count(lines, '\n'), 4) << format;
  }
  EXPECT_EQ(Run({"cat", "--ascii", "--from", "5", "--count", "4", "--hash", "sha256"}).code, 0);
}

TEST_F(LogPartTest, BeginsAfterTheRecordWithADigest) {
  EXPECT_EQ(Run({"cat", "--after-digest", sha1_[6]}).out, Binary(8, ends_.size()));
  EXPECT_EQ(Run({"cat", "--after-digest", sha1_[6], "--count", "2"}).out, Binary(8, 9));
  EXPECT_THAT(Run({"cat", "--after-digest", sha1_.back()}).out, IsEmpty());
  const Ran json = Run({"cat", "--json", "--hash", "sha256", "--after-digest", sha256_[6]});
  ASSERT_EQ(json.code, 0) << json.err;
  EXPECT_EQ(Json::parse(json.out.substr(0, json.out.find('\n')))["record"], 8);
  // A violation has no digest, so nothing can come after it.
  for (const std::string& unknown : {std::string(40, '1'), std::string(40, '0')}) {
    const Ran ran = RunJson({"cat", "--after-digest", unknown});
    EXPECT_EQ(ran.code, 2);
    EXPECT_EQ(ran.error["cause"], "record_unknown");
  }
  EXPECT_EQ(Run({"cat", "--after-digest", sha256_[6]}).code, 2) << "the length is not SHA-1's";
  EXPECT_EQ(Run({"cat", "--after-digest", "xy"}).code, 2);
  EXPECT_EQ(Run({"cat", "--from", "2", "--after-digest", sha1_[6]}).code, 2);
}

// Replayed from the array alone, by code that is not the product's.
TEST_F(LogPartTest, CelReplaysToThePcrs) {
  const Ran ran = Run({"cat", "--cel"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  ASSERT_TRUE(ran.json.is_array());
  ASSERT_EQ(ran.json.size(), ends_.size());
  std::map<std::string, std::map<uint32_t, Digest>> pcrs;
  for (size_t i = 0; i < ran.json.size(); ++i) {
    const Json& record = ran.json[i];
    EXPECT_EQ(record["recnum"], i);
    EXPECT_EQ(record["content_type"], "ima_template");
    ASSERT_EQ(record["digests"].size(), 2U);
    const auto data = FromHex(record["content"]["template_data"].get<std::string>());
    ASSERT_TRUE(data);
    for (const Json& digest : record["digests"]) {
      const std::string bank = digest["hashAlg"];
      const HashAlg alg = *HashFromName(bank);
      const auto value = FromHex(digest["digest"].get<std::string>());
      ASSERT_TRUE(value);
      const bool violation = value->front() == std::byte{0xff} && value->back() == std::byte{0xff};
      EXPECT_TRUE(violation || ToHex(*value) == HashOf(alg, *data).Hex());
      auto [pcr, first] =
          pcrs[bank].emplace(record["pcr"], Digest::Filled(DigestSize(alg), std::byte{0}));
      Bytes both;
      AppendBytes(pcr->second.view(), &both);
      AppendBytes(*value, &both);
      pcr->second = HashOf(alg, both);
    }
    EXPECT_FALSE(record["content"]["template_name"].get<std::string>().empty());
  }
  for (const auto& [bank, values] : pcrs) {
    for (const auto& [pcr, value] : values) {
      EXPECT_EQ(value, world_.kernel.Pcrs().at(bank).at(pcr)) << bank << " " << pcr;
    }
  }
  const Ran part = Run({"cat", "--cel", "--hash", "sha256", "--from", "3", "--count", "2"});
  ASSERT_EQ(part.json.size(), 2U) << part.out;
  EXPECT_EQ(part.json[0]["recnum"], 2);
  EXPECT_EQ(part.json[0]["digests"],
            Json::parse(R"([{"hashAlg": "sha256", "digest": ")" + sha256_[2] + R"("}])"));
  EXPECT_EQ(Run({"cat", "--cel", "--from", "1000"}).json, Json::array());
  EXPECT_EQ(Run({"cat", "--cel", "--ascii"}).code, 2);
  EXPECT_EQ(Run({"cat", "--hash", "sha1,sha256"}).code, 2);
  EXPECT_EQ(Run({"cat", "--cel", "--hash", "sha1,"}).code, 2);
}

}  // namespace
}  // namespace imasnap::cli
