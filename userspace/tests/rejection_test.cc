// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every kind of rejection names its place, and what was expected and found there,
// in the text and in the JSON that verify prints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/verify_report.h"
#include "tampering.h"
#include "world.h"

namespace imasnap {
namespace {

using cli::Json;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using testing::NgRecord;
using testing::SegmentBytes;
using testing::World;

const char kNone[] = "";  // the field is not known
const char kSha1[] = "[0-9a-f]{40}";
const char kSha256[] = "[0-9a-f]{64}";

struct Rejection {
  const char* name;
  void (*tamper)(World*);
  const char* segment;      // as in the JSON
  uint64_t record;          // since cold boot; 0: none
  uint64_t record_in_file;  // 0: none
  const char* bank;
  int pcr;               // -1: none
  const char* expected;  // regular expressions
  const char* found;
  bool against_tpm = false;
};

// Two segments of records 1 to 9 and 10 to 18, and a list.
void Prepare(World* world) {
  for (int i = 0; i < 2; ++i) {
    world->kernel.MeasureFiles(8);
    ASSERT_TRUE(world->Take().ok());
  }
  world->kernel.MeasureFiles(4);
}

void ReplaceText(World* world, uint64_t segment, std::string_view from, std::string_view to) {
  Bytes& data = world->fs.Find(world->SegmentPath(segment) + ".ima")->data;
  const size_t at = AsText(data).find(from);
  ASSERT_NE(at, std::string::npos);
  std::copy(AsBytes(to).begin(), AsBytes(to).end(), data.begin() + static_cast<ptrdiff_t>(at));
}

Bytes With(const Bytes& bytes, const Bytes& more) {
  Bytes both = bytes;
  AppendBytes(more, &both);
  return both;
}

class RejectionTest : public ::testing::TestWithParam<Rejection> {};

void ExpectField(const Json& value, const char* expected) {
  if (*expected == '\0') {
    EXPECT_TRUE(value.is_null()) << value;
  } else {
    ASSERT_TRUE(value.is_string()) << value;
    EXPECT_THAT(value.get<std::string>(), MatchesRegex(expected));
  }
}

TEST_P(RejectionTest, NamesPlaceExpectedAndFound) {
  World world;
  Prepare(&world);
  ASSERT_TRUE(world.IsWhole());
  GetParam().tamper(&world);
  const auto report = world.Verify(GetParam().against_tpm ? &world.tpm : nullptr);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  const Json json = cli::ToJson(*report, cli::ReportContext{});
  ASSERT_TRUE(json.contains("mismatch"));
  EXPECT_EQ(json["ok"], false);
  const Json& found = json["mismatch"];
  SCOPED_TRACE(found.dump());
  const auto text_of = [](const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  const auto number = [](uint64_t n) { return n == 0 ? Json(nullptr) : Json(n); };
  EXPECT_EQ(text_of(found["segment"]), GetParam().segment);
  EXPECT_EQ(found["record"], number(GetParam().record));
  EXPECT_EQ(found["record_in_file"], number(GetParam().record_in_file));
  EXPECT_EQ(found["offset"].is_null(), GetParam().record_in_file == 0);
  ExpectField(found["bank"], GetParam().bank);
  EXPECT_EQ(found["pcr"], GetParam().pcr < 0 ? Json(nullptr) : Json(GetParam().pcr));
  ExpectField(found["expected"], GetParam().expected);
  ExpectField(found["found"], GetParam().found);
  EXPECT_FALSE(found["message"].get<std::string>().empty());

  std::ostringstream out;
  cli::PrintReport(*report, cli::ReportContext{}, out);
  std::string place = "MISMATCH    in ";
  place += found["segment"] == "live" ? "the kernel's list"
                                      : "segment " + SegmentName(found["segment"].get<uint64_t>());
  if (!found["record"].is_null()) {
    place += ", record " + found["record"].dump();
  }
  if (!found["bank"].is_null()) {
    place += ", bank " + found["bank"].get<std::string>();
  }
  if (!found["pcr"].is_null()) {
    place += ", PCR " + found["pcr"].dump();
  }
  EXPECT_THAT(out.str(), HasSubstr(place + "\n"));
  if (*GetParam().expected != '\0') {
    EXPECT_THAT(out.str(), HasSubstr("expected    " + found["expected"].get<std::string>() +
                                     "\nfound       " + found["found"].get<std::string>() + "\n"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, RejectionTest,
    ::testing::Values(
        Rejection{"TemplateDigest", [](World* w) { testing::FlipByte(w, 1, 6); }, "1", 1, 1, "sha1",
                  -1, kSha1, kSha1},
        Rejection{"Format", [](World* w) { testing::FlipByte(w, 1, 26); }, "1", 1, 1, kNone, -1,
                  kNone, kNone},
        Rejection{"MissingSegment", [](World* w) { testing::Drop(w, 1); }, "1", 0, 0, kNone, -1,
                  "segment 00000001", "segment 00000002"},
        Rejection{"MissingBytes", [](World* w) { w->fs.Remove(w->SegmentPath(1) + ".ima"); }, "1", 0,
                  0, kNone, -1, "segment 00000001", "its metadata alone"},
        Rejection{"NotTheAggregate",
                  [](World* w) {
                    testing::Forge(w, 2,
                                   With(NgRecord("/evil").Binary(), SegmentBytes(w, 2)));
                  },
                  "2", 10, 1, kNone, -1, "snapshot_aggregate of attempt 1", "/evil"},
        Rejection{"AggregateFormat",
                  [](World* w) { ReplaceText(w, 2, "Record_Count=", "Record-Count="); }, "2", 10, 1,
                  kNone, -1, kNone, kNone},
        Rejection{"AggregateDigest",
                  [](World* w) { ReplaceText(w, 2, "Record_Count=9", "Record_Count=8"); }, "2", 10,
                  1, kNone, -1, kSha256, kSha256},
        Rejection{"Attempt", [](World* w) { testing::Drop(w, 2); }, "live", 10, 1, kNone, -1, "1", "2"},
        Rejection{"Beginning",
                  [](World* w) {
                    testing::Drop(w, 1);
                    testing::Drop(w, 2);
                  },
                  "live", 1, 1, kNone, -1, "the first record of the boot", "record 19"},
        Rejection{"RecordCount",
                  [](World* w) {
                    testing::Forge(w, 1, With(SegmentBytes(w, 1), NgRecord("/evil").Binary()));
                  },
                  "1", 0, 0, kNone, -1, "9", "10"},
        Rejection{"SegmentHash",
                  [](World* w) {
                    Bytes bytes = SegmentBytes(w, 1);
                    const Bytes evil = NgRecord("boot_aggregatf").Binary();
                    std::copy(evil.begin(), evil.end(), bytes.begin());
                    testing::Forge(w, 1, bytes);
                  },
                  "1", 0, 0, kNone, -1, kSha256, kSha256},
        Rejection{"AggregatePcr",
                  [](World* w) {
                    PcrValues values = w->kernel.Pcrs();
                    values["sha256"][11].bytes[0] ^= std::byte{1};
                    w->kernel.ForcePcrs(values);
                    ASSERT_TRUE(w->Take().ok());
                  },
                  "live", 24, 1, "sha256", 11, kSha256, kSha256},
        Rejection{"MetadataNotParsed",
                  [](World* w) { w->fs.Write(w->SegmentPath(1) + ".json", "{}"); }, "1", 0, 0, kNone,
                  -1, kNone, kNone},
        Rejection{"MetadataBytes",
                  [](World* w) {
                    w->fs.Write(w->SegmentPath(1) + ".ima",
                                AsText(With(SegmentBytes(w, 1), NgRecord("/x").Binary())));
                  },
                  "1", 0, 0, kNone, -1, "[0-9]+", "[0-9]+"},
        Rejection{"MetadataSha256", [](World* w) { testing::FlipByte(w, 1, 0); }, "1", 0, 0, kNone,
                  -1, kSha256, kSha256},
        Rejection{"PcrOfTheTpm",
                  [](World* w) {
                    const PcrValues before = w->kernel.Pcrs();
                    w->kernel.MeasureFiles(2);
                    w->kernel.ForcePcrs(before);
                  },
                  "live", 25, 0, "sha1", 10, kSha1, kSha1, true}),
    [](const auto& p) { return p.param.name; });

TEST(RejectionTest, BanksThatMatchAtDifferentRecordsAreTold) {
  World world;
  Prepare(&world);
  PcrValues values = world.kernel.Pcrs();
  world.kernel.MeasureFiles(3);
  values["sha256"] = world.kernel.Pcrs()["sha256"];
  FixedPcrs mixed(values);
  const auto report = world.Verify(&mixed);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->expected, "all banks at one record");
  EXPECT_EQ(report->finding->found, "sha1 at record 23, sha256 at record 26");
}

}  // namespace
}  // namespace imasnap
