// SPDX-License-Identifier: GPL-2.0-or-later
//
// What PCRs from outside prove of a log, and what would hide from them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tampering.h"
#include "verify/verify.h"
#include "world.h"

namespace imasnap {
namespace {

using ::testing::ElementsAre;
using testing::Fill;
using ::testing::IsEmpty;
using testing::NgRecord;
using testing::World;

TEST(VerifyTest, FixedPcrsMatchInsideTheLogAndSayWhere) {
  World world;
  Fill(&world);
  FixedPcrs then(world.kernel.Pcrs());
  const uint64_t record = world.kernel.total();
  world.kernel.MeasureFiles(3);
  ASSERT_TRUE(world.Take().ok());
  auto report = world.Verify(&then);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_FALSE(report->finding);
  EXPECT_EQ(report->matched_record, record);
  EXPECT_EQ(report->records, world.kernel.total());
}

TEST(VerifyTest, ValuesAreThoseOfTheMatchedRecord) {
  World world;
  world.kernel.MeasureFiles(3);
  const PcrValues values = world.kernel.Pcrs();
  FixedPcrs then(values);
  world.kernel.Measure(NgRecord("/later", 11));
  world.kernel.MeasureFiles(2);
  auto report = world.Verify(&then);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_EQ(report->matched_record, 4U);
  for (const BankReport& bank : report->banks) {
    EXPECT_EQ(bank.pcrs, (std::map<uint32_t, Digest>{{10, values.at(bank.name).at(10)}}));
    EXPECT_THAT(bank.compared, ElementsAre(10));
  }
  world.kernel.extend_lags = true;
  const PcrValues now = world.kernel.Pcrs();
  report = world.Verify(&world.tpm);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->matched_record, world.kernel.total() - 1);
  for (const BankReport& bank : report->banks) {
    EXPECT_EQ(bank.pcrs.at(10), now.at(bank.name).at(10));
  }
}

TEST(VerifyTest, BankOfWhichTheLogExtendsNoPcrDoesNotMatter) {
  World world;
  world.kernel.MeasureFiles(3);
  PcrValues values = world.kernel.Pcrs();
  std::erase_if(values["sha1"], [](const auto& pcr) { return pcr.first > 7; });
  FixedPcrs pcrs(values);
  const auto report = world.Verify(&pcrs);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_FALSE(report->finding) << report->finding->message;
  EXPECT_EQ(report->matched_record, 4U);
  EXPECT_THAT(report->banks[0].compared, IsEmpty());
  EXPECT_THAT(report->banks[1].compared, ElementsAre(10));
}

TEST(VerifyTest, GivenPcrsThatNoRecordExtendsAreTold) {
  World world;
  world.kernel.MeasureFiles(2);
  PcrValues values = world.kernel.Pcrs();
  for (const uint32_t pcr : {0U, 11U}) {
    values["sha256"][pcr] = Digest::Filled(32, std::byte{7});
  }
  FixedPcrs pcrs(values);
  const auto report = world.Verify(&pcrs);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_THAT(report->banks[0].not_replayed, IsEmpty());
  EXPECT_THAT(report->banks[1].not_replayed, ElementsAre(0, 11));
}

TEST(VerifyTest, FixedPcrsNewerThanTheLogAreAMismatchThatNamesTheBank) {
  World world;
  Fill(&world);
  PcrValues values = world.kernel.Pcrs();
  values["sha256"][10].bytes[3] ^= std::byte{4};
  FixedPcrs wrong(values);
  auto report = world.Verify(&wrong);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->bank, "sha256");
  EXPECT_EQ(report->finding->pcr, 10U);
  EXPECT_EQ(report->finding->expected, values["sha256"][10].Hex());
  EXPECT_EQ(report->finding->found, world.kernel.Pcrs()["sha256"][10].Hex());
}

TEST(VerifyTest, PcrsThatTheLogDoesNotExtendCannotCheckIt) {
  World world;
  FixedPcrs other({{"sha256", {{0, world.kernel.Pcrs()["sha256"][0]}}}});
  auto report = world.Verify(&other);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(report.error().cause, Cause::kNothingCompared);
}

// No digest covers the PCR's number: an attacker who can extend or reset another PCR
// can make it match any log.
TEST(VerifyTest, PcrThatTheValuesLeaveOutCannotCheckTheLog) {
  World world;
  world.kernel.MeasureFiles(2);
  world.kernel.Measure(NgRecord("/claimed", 16));
  PcrValues values = world.kernel.Pcrs();
  values["sha1"][10].bytes[0] ^= std::byte{1};  // is not that of the log
  for (const bool all : {false, true}) {
    FixedPcrs pcrs({{"sha1", {{16, values["sha1"][16]}}}});
    if (all) {
      pcrs =
          FixedPcrs({{"sha1", {{16, values["sha1"][16]}}}, {"sha256", {{0, values["sha256"][0]}}}});
    }
    const auto report = world.Verify(&pcrs);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, ErrorCode::kCannotCheck);
    EXPECT_EQ(report.error().cause, Cause::kPcrNotCompared);
    EXPECT_EQ(report.error().pcr, 10U);
  }
  // With the correct value of PCR 10, in another bank.
  FixedPcrs both({{"sha1", {{16, values["sha1"][16]}}}, {"sha256", {{10, values["sha256"][10]}}}});
  const auto report = world.Verify(&both);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_FALSE(report->finding);
  EXPECT_THAT(report->banks[0].compared, ElementsAre(16));
  EXPECT_THAT(report->banks[1].compared, ElementsAre(10));
}

TEST(VerifyTest, RecordsOfAPcrThatTheValuesLeaveOutAreNotCovered) {
  World world;
  world.kernel.MeasureFiles(2);
  FixedPcrs pcrs({{"sha256", {{10, world.kernel.Pcrs()["sha256"][10]}}}});
  world.kernel.Measure(NgRecord("/claimed", 16));
  const auto report = world.Verify(&pcrs);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_EQ(report->matched_record, 3U);
}

TEST(VerifyTest, PcrThatNoTpmHasCannotCheckTheLog) {
  World world;
  world.kernel.Measure(NgRecord("/claimed", 30));
  const auto report = world.Verify(&world.tpm);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().cause, Cause::kPcrNotCompared);
  EXPECT_EQ(report.error().pcr, 30U);
}

TEST(VerifyTest, LogThatLeavesOutTheKernelsPcrCannotBeChecked) {
  World world;
  Bytes moved;
  for (const std::string name : {"boot_aggregate", "/a"}) {
    AppendBytes(NgRecord(name, 16).Binary(), &moved);
  }
  std::vector<LogPart> parts(1);
  parts[0].path = "moved";
  world.fs.Write("/moved", AsText(moved));
  parts[0].open = [&world] { return world.fs.OpenFile("/moved", OpenMode::kRead); };
  Digest value = Digest::Filled(32, std::byte{0});
  for (const std::string name : {"boot_aggregate", "/a"}) {
    Bytes extended;
    AppendBytes(value.view(), &extended);
    AppendBytes(NgRecord(name, 16).TemplateDigest(HashAlg::kSha256).view(), &extended);
    value = testing::HashOf(HashAlg::kSha256, extended);
  }
  FixedPcrs pcrs({{"sha256", {{10, Digest::Filled(32, std::byte{7})}, {16, value}}}});
  auto report = VerifyLog(parts, &pcrs);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(report.error().cause, Cause::kPcrNotExtended);
  EXPECT_EQ(report.error().pcr, 10U);
}

TEST(VerifyTest, BankThatIsGivenUnderTwoNamesIsRefused) {
  World world;
  const auto good = world.kernel.Pcrs()["sha256"];
  auto bad = good;
  bad[10].bytes[0] ^= std::byte{1};
  FixedPcrs pcrs({{"sha256", bad}, {"tpm_alg_b", good}});
  const auto report = world.Verify(&pcrs);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().cause, Cause::kDuplicate);
  EXPECT_EQ(report.error().bank, "sha256");
  EXPECT_EQ(report.error().found, "tpm_alg_b");
}

// A log in one file.
std::vector<LogPart> OnePart(World* world, const Bytes& log) {
  world->fs.Write("/log", AsText(log));
  std::vector<LogPart> parts(1);
  parts[0].path = "/log";
  parts[0].open = [world] { return world->fs.OpenFile("/log", OpenMode::kRead); };
  return parts;
}

TEST(VerifyTest, EachPcrThatIsNamedMustBeExtended) {
  World world;
  world.kernel.MeasureFiles(2);
  for (const bool extended : {false, true}) {
    if (extended) {
      world.kernel.Measure(NgRecord("/policy", 12));
    }
    FixedPcrs pcrs(world.kernel.Pcrs());
    const auto report =
        VerifyLog(OnePart(&world, world.kernel.Everything()), &pcrs, {.ima_pcrs = {10, 12}});
    ASSERT_EQ(report.ok(), extended);
    if (extended) {
      EXPECT_EQ(report->matched_record, 4U);
    } else {
      EXPECT_EQ(report.error().code, ErrorCode::kCannotCheck);
      EXPECT_EQ(report.error().cause, Cause::kPcrNotExtended);
      EXPECT_EQ(report.error().pcr, 12U);
    }
  }
}

// The template's name is in no digest.
TEST(VerifyTest, AggregateUnderAnotherTemplatesNameIsFound) {
  World world;
  Fill(&world);
  FixedPcrs pcrs(world.kernel.Pcrs());
  for (const std::string name : {"ima-sig", "buf|buf|buf"}) {
    Bytes log;
    const Bytes all = world.kernel.Everything();
    LogReader reader(all, {}, "log");
    while (const Record* record = reader.Next().value()) {
      const bool rename = record->template_name == "ima-buf";
      AppendBytes(record->raw.first(24), &log);
      AppendU32(static_cast<uint32_t>(rename ? name.size() : record->template_name.size()),
                ByteOrder::kLittle, &log);
      AppendBytes(AsBytes(rename ? std::string_view(name) : record->template_name), &log);
      AppendBytes(record->raw.subspan(28 + record->template_name.size()), &log);
    }
    const auto report = VerifyLog(OnePart(&world, log), &pcrs);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    ASSERT_TRUE(report->finding);
    EXPECT_EQ(report->finding->record, 10U);
    EXPECT_EQ(report->finding->expected, "ima-buf");
    EXPECT_EQ(report->finding->found, name);
    EXPECT_EQ(report->finding->cause, Cause::kAggregateTemplate);
  }
}

TEST(VerifyTest, AggregateThatIsAViolationIsFound) {
  World world;
  testing::BuiltRecord record =
      testing::BufRecord(kAggregateEvent, "Snapshot_Attempt_Count=1;whatever");
  record.violation = true;
  world.kernel.Measure(record);
  const auto report = world.Verify(&world.tpm);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->cause, Cause::kAggregateViolation);
  EXPECT_EQ(report->finding->record, 2U);
}

TEST(VerifyTest, FileWithTheNameOfAnAggregateIsNotAnAggregate) {
  World world;
  testing::BuiltRecord file = NgRecord(kAggregateEvent);
  world.kernel.Measure(file);
  file.template_name = "ima-sig";
  file.fields.push_back(testing::RawField("\x03Snapshot_Attempt_Count=1;"));
  world.kernel.Measure(file);
  file.fields[1] = testing::NameField(std::string(kAggregateEvent) + "s");
  file.fields[2] = testing::RawField("Snapshot_Attempt_Count=1;");
  world.kernel.Measure(file);
  const auto report = world.Verify(&world.tpm);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_FALSE(report->finding);
  EXPECT_EQ(report->aggregates, 0U);
}

TEST(VerifyTest, BanksThatAreNotKnownAreAFindingWhenThereAreTooMany) {
  World world;
  for (const uint64_t attempt : {1, 2}) {
    Aggregate aggregate;
    aggregate.attempt = attempt;
    for (int i = 0; i < 16; ++i) {
      const auto number = static_cast<uint64_t>(i) + attempt;  // 17 in the two
      aggregate.banks.push_back({.name = "tpm_alg_f" + std::to_string(number),
                                 .pcrs = {{10, Digest::Filled(32, std::byte{1})}}});
    }
    aggregate.record_count = world.kernel.total();
    aggregate.segment_hash = testing::HashOf(HashAlg::kSha256, world.kernel.Everything());
    world.kernel.Measure(testing::BufRecord(kAggregateEvent, FormatAggregate(aggregate)));
    const auto report = world.Verify(nullptr);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    if (attempt == 1) {
      EXPECT_FALSE(report->finding) << report->finding->message;
      EXPECT_EQ(report->unchecked_banks.size(), 16U);
    } else {
      ASSERT_TRUE(report->finding);
      EXPECT_EQ(report->finding->cause, Cause::kTooMany);
      EXPECT_EQ(report->finding->record, 3U);
    }
  }
}

}  // namespace
}  // namespace imasnap
