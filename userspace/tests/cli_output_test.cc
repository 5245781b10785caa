// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the commands print of stores that are damaged or empty, of staged records, and of
// every kind of field.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "cli_fixture.h"
#include "tampering.h"

namespace imasnap::cli {
namespace {

using ::testing::IsEmpty;
using Json = nlohmann::json;

class CliOutputTest : public CliTest {
 protected:
  // What a command with --json printed, one object a line.
  std::vector<Json> Lines(const std::vector<std::string>& args) {
    const Ran ran = RunJson(args);
    EXPECT_EQ(ran.code, 0) << ran.err;
    std::vector<Json> lines;
    std::istringstream in(ran.out);
    for (std::string line; std::getline(in, line);) {
      lines.push_back(Json::parse(line));
    }
    return lines;
  }
};

TEST_F(CliOutputTest, ListOfAnEmptyStoreIsEmpty) {
  const Ran text = Run({"list"});
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.out, IsEmpty());
  const Json json = RunJson({"list"}).json;
  EXPECT_TRUE(json["session"].is_null());
  EXPECT_THAT(json["segments"], IsEmpty());
}

TEST_F(CliOutputTest, ListNamesWhatIsDamaged) {
  imasnap::testing::Fill(&world_);
  world_.fs.Remove(world_.SegmentPath(1) + ".ima");
  world_.fs.Write(world_.SegmentPath(2) + ".json", "{}");
  const std::string rejected = imasnap::testing::kBoot1 + "/00000004.rejected.1";
  world_.fs.Write(rejected, "not what the aggregate hashed");
  const Json json = RunJson({"list"}).json;
  ASSERT_EQ(json["segments"].size(), 3U);
  EXPECT_EQ(json["segments"][0]["missing"], true);
  EXPECT_EQ(json["segments"][1]["segment"], 2);
  EXPECT_TRUE(json["segments"][1]["problem"].is_string());
  EXPECT_FALSE(json["segments"][2].contains("problem"));
  EXPECT_EQ(json["rejected"], Json::array({rejected}));
  const Ran text = Run({"list"});
  EXPECT_EQ(text.code, 0);
  EXPECT_EQ(std::ranges::count(text.out, '\n'), 4);  // with the heading
  EXPECT_NE(text.err.find(rejected), std::string::npos);
}

// The last segment is lost.
TEST_F(CliOutputTest, CatOfAListThatDoesNotContinueTheStoreIsThree) {
  imasnap::testing::Fill(&world_);
  imasnap::testing::Drop(&world_, 3);
  const Ran ran = RunJson({"cat"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_EQ(ran.error["cause"], "not_continued");
}

TEST_F(CliOutputTest, StagedRecordsAreShownApartAndCounted) {
  imasnap::testing::Fill(&world_);
  world_.kernel.has_staging = true;  // beside the snapshot file
  EXPECT_EQ(Run({"show", "staged"}).code, 2);
  const uint64_t before = world_.kernel.total() - world_.kernel.in_memory();
  ASSERT_EQ(world_.kernel.Stage(), 0);
  world_.kernel.MeasureFiles(2);
  const uint64_t staged = world_.kernel.staged();
  const std::vector<Json> first = Lines({"show", "staged"});
  ASSERT_EQ(first.size(), staged);
  EXPECT_EQ(first[0]["record"], before + 1);
  const std::vector<Json> live = Lines({"show", "live"});
  ASSERT_EQ(live.size(), 2U);
  EXPECT_EQ(live[0]["record"], before + staged + 1);
  EXPECT_EQ(Lines({"show", "--top", "1"})[3]["segment"], "staged");
  EXPECT_EQ(RunJson({"status"}).json["kernel"]["staged"]["records"], staged);
  EXPECT_EQ(Run({"status"}).code, 0);
}

TEST_F(CliOutputTest, ShowPrintsEveryKindOfField) {
  for (const imasnap::testing::BuiltRecord& record : imasnap::testing::EveryTemplate()) {
    world_.kernel.Measure(record);
  }
  bool with_ids = false;
  bool without = false;
  for (const Json& record : Lines({"show", "live"})) {
    const Json& fields = record["fields"];
    if (record["template"] == "evm-sig") {
      with_ids |=
          fields["iuid"] == 1000 && fields["igid"] == 4294967294U && fields["imode"] == 0100755;
      without |= fields["iuid"].is_null() && fields["imode"].is_null();
    } else if (record["template"] == "ima-ngv2") {
      EXPECT_EQ(fields["d-ngv2"]["type"], "verity");
      EXPECT_EQ(fields["d-ngv2"]["algorithm"], "sha512");
    } else if (record["template"] == "d|n") {
      EXPECT_EQ(fields["d"]["digest"].get<std::string>().size(), 40U);
    }
  }
  EXPECT_TRUE(with_ids);
  EXPECT_TRUE(without);
}

}  // namespace
}  // namespace imasnap::cli
