// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tampering.h"
#include "world.h"

namespace imasnap {
namespace {

using testing::Drop;
using ::testing::ElementsAre;
using testing::FakeKernel;
using testing::Fill;
using testing::FlipByte;
using testing::Forge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kBoot1;
using testing::NgRecord;
using testing::SegmentBytes;
using testing::Swap;
using testing::World;

TEST(VerifyTest, GoodLogMatchesLivePcrsInEveryBank) {
  World world;
  Fill(&world);
  auto report = world.Verify(&world.tpm);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_FALSE(report->finding);
  EXPECT_EQ(report->records, world.kernel.total());
  EXPECT_EQ(report->matched_record, world.kernel.total());
  EXPECT_EQ(report->segments, 3U);
  EXPECT_EQ(report->live_records, 5U);
  EXPECT_EQ(report->aggregates, 3U);
  EXPECT_EQ(report->violations, 5U);
  // PCR 10 in two banks at each aggregate, PCR 11 from its first use on.
  EXPECT_EQ(report->pcr_checks, 12U);
  ASSERT_EQ(report->banks.size(), 2U);
  for (const BankReport& bank : report->banks) {
    EXPECT_THAT(bank.compared, ElementsAre(10, 11));
    EXPECT_EQ(bank.pcrs.at(10), world.kernel.Pcrs()[bank.name][10]);
    EXPECT_EQ(bank.pcrs.at(11), world.kernel.Pcrs()[bank.name][11]);
  }
}

TEST(VerifyTest, WithoutPcrsTheLogIsCheckedAgainstItself) {
  World world;
  Fill(&world);
  auto report = world.Verify(nullptr);
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->finding);
  EXPECT_FALSE(report->matched_record);
  EXPECT_EQ(report->pcr_checks, 12U);
  EXPECT_THAT(report->banks[0].compared, IsEmpty());
}

TEST(VerifyTest, MatchesALogThatGrowsWhileThePcrsAreRead) {
  // With staging the list is copied, and the copy has to grow too.
  for (const bool has_staging : {false, true}) {
    World world;
    world.kernel.has_staging = has_staging;
    Fill(&world);
    world.tpm.measured_before_read = 2;
    world.tpm.measured_after_read = 3;
    auto report = world.Verify(&world.tpm);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    EXPECT_FALSE(report->finding) << report->finding->message;
    EXPECT_TRUE(report->matched_record);
  }
}

TEST(VerifyTest, MatchesWhenTheLastRecordIsNotYetExtended) {
  World world;
  Fill(&world);
  world.kernel.extend_lags = true;
  auto report = world.Verify(&world.tpm);
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->finding);
  EXPECT_EQ(report->matched_record, world.kernel.total() - 1);
}

TEST(VerifyTest, RecordsBeyondThePcrsOfTheTpmAreAMismatch) {
  World world;
  Fill(&world);
  // Two records that the TPM was not extended with.
  FixedPcrs old(world.kernel.Pcrs());
  class Frozen : public PcrReader {
   public:
    explicit Frozen(PcrValues values) : values_(std::move(values)) {}
    Result<PcrValues> Read(const std::vector<uint32_t>&) override { return values_; }
    bool live() const override { return true; }

   private:
    PcrValues values_;
  } frozen(world.kernel.Pcrs());
  world.kernel.MeasureFiles(2);
  auto report = world.Verify(&frozen);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->bank, "sha1");
  EXPECT_EQ(report->finding->pcr, 10U);
}

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
}

// The PCR's number is in no digest: who may extend or reset another PCR can have it
// agree with any log.
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
    EXPECT_THAT(report.error().message, HasSubstr("the log extends PCR 10, and the PCRs to"));
  }
  // With what is true of PCR 10, in another bank.
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
  EXPECT_THAT(report.error().message, HasSubstr("the log extends PCR 30"));
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
  EXPECT_THAT(report.error().message, HasSubstr("does not extend PCR 10, which IMA measures to"));
}

TEST(VerifyTest, BankThatIsGivenUnderTwoNamesIsRefused) {
  World world;
  const auto good = world.kernel.Pcrs()["sha256"];
  auto bad = good;
  bad[10].bytes[0] ^= std::byte{1};
  FixedPcrs pcrs({{"sha256", bad}, {"tpm_alg_b", good}});
  const auto report = world.Verify(&pcrs);
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.error().message, HasSubstr("bank sha256 are given again, as tpm_alg_b"));
}

TEST(VerifyTest, ThreeBanksAreReplayedThoughNoPcrsNameThem) {
  World world;
  world.kernel = FakeKernel({"sha1", "sha256", "sha384"});
  world.kernel.MeasureFiles(5);
  ASSERT_TRUE(world.Take(/*mark=*/true).ok());  // no metadata that lists banks
  auto report = world.Verify(nullptr);
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->finding) << report->finding->message;
  EXPECT_EQ(report->banks.size(), 3U);
  EXPECT_EQ(report->pcr_checks, 3U);
}

TEST(VerifyTest, KernelWithoutTheHashOfABankIsRecognised) {
  // PCRs of a sha512 bank extended with padded SHA-1 digests.
  World world;
  Digest value = Digest::Filled(64, std::byte{0});
  for (int i = 0; i < 4; ++i) {
    world.kernel.Measure(NgRecord("/f" + std::to_string(i)));
  }
  const std::vector<std::string> names = {"boot_aggregate", "/f0", "/f1", "/f2", "/f3"};
  for (const std::string& name : names) {
    Digest padded = Digest::Filled(64, std::byte{0});
    const Digest sha1 = NgRecord(name).TemplateDigest(HashAlg::kSha1);
    std::copy_n(sha1.bytes.begin(), 20, padded.bytes.begin());
    Bytes both;
    AppendBytes(value.view(), &both);
    AppendBytes(padded.view(), &both);
    value = testing::HashOf(HashAlg::kSha512, both);
  }
  FixedPcrs pcrs({{"sha1", {{10, world.kernel.Pcrs()["sha1"][10]}}}, {"sha512", {{10, value}}}});
  auto report = world.Verify(&pcrs);
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->finding) << report->finding->message;
  EXPECT_TRUE(report->banks[1].padded_sha1);
  value.bytes[0] ^= std::byte{1};
  FixedPcrs wrong({{"sha512", {{10, value}}}});
  report = world.Verify(&wrong);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_FALSE(report->banks[0].padded_sha1);
}

TEST(VerifyTest, KernelWithoutTheHashesOfTwoBanksIsRecognised) {
  World world;
  world.kernel.MeasureFiles(2);
  const PcrValues good = world.kernel.Pcrs();
  PcrValues values = {{"sha1", {{10, good.at("sha1").at(10)}}}};
  for (const HashAlg alg : {HashAlg::kSha384, HashAlg::kSha512}) {
    Digest value = Digest::Filled(DigestSize(alg), std::byte{0});
    const Bytes log = world.kernel.Everything();
    LogReader reader(log, {}, "log");
    while (const Record* record = reader.Next().value()) {
      Bytes both(value.view().begin(), value.view().end());
      AppendBytes(record->digest, &both);
      both.resize(2 * value.size);
      value = testing::HashOf(alg, both);
    }
    values[std::string(HashName(alg))][10] = value;
  }
  FixedPcrs pcrs(values);
  auto report = world.Verify(&pcrs);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_FALSE(report->finding) << report->finding->message;
  EXPECT_TRUE(report->banks[1].padded_sha1);
  EXPECT_TRUE(report->banks[2].padded_sha1);
  // One of them padded, and the other another value.
  values["sha512"][10].bytes[0] ^= std::byte{1};
  FixedPcrs wrong(values);
  report = world.Verify(&wrong);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->bank, "sha512");
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
      EXPECT_THAT(report.error().message, HasSubstr("does not extend PCR 12"));
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
    EXPECT_THAT(report->finding->message, HasSubstr("is a snapshot_aggregate under the name of"));
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
  EXPECT_THAT(report->finding->message, HasSubstr("with the digest of a violation"));
}

TEST(VerifyTest, FileWithTheNameOfAnAggregateIsNone) {
  World world;
  testing::BuiltRecord file = NgRecord(kAggregateEvent);
  world.kernel.Measure(file);
  file.template_name = "ima-sig";
  file.fields.push_back(testing::RawField("\x03Snapshot_Attempt_Count=1;"));
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
      EXPECT_THAT(report->finding->message, HasSubstr("more than 16 banks"));
      EXPECT_EQ(report->finding->record, 3U);
    }
  }
}

// What is done to a store of three segments, and what verification must say.
struct Tampering {
  const char* name;
  void (*tamper)(World*);
  uint64_t segment;  // 0: the kernel's list
  const char* message;
  bool needs_pcrs = false;
};

class TamperingTest : public ::testing::TestWithParam<Tampering> {};

TEST_P(TamperingTest, IsRefusedAndTheRightPlaceIsNamed) {
  World world;
  Fill(&world);
  ASSERT_TRUE(world.IsWhole());
  GetParam().tamper(&world);
  std::vector<PcrReader*> readers = {&world.tpm};
  if (!GetParam().needs_pcrs) {
    readers.push_back(nullptr);
  }
  for (PcrReader* reader : readers) {
    auto report = world.Verify(reader);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    ASSERT_TRUE(report->finding);
    EXPECT_EQ(report->finding->segment, GetParam().segment) << report->finding->message;
    EXPECT_THAT(report->finding->ToError().ToString(), HasSubstr(GetParam().message));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Stores, TamperingTest,
    ::testing::Values(
        Tampering{"ByteOfAPcrNumber", [](World* w) { FlipByte(w, 2, 0); }, 2,
                  "not those that were stored"},
        Tampering{"ByteOfADigest", [](World* w) { FlipByte(w, 2, 6); }, 2,
                  "00000002.ima: record 1 (offset 0): the sha1 template digest"},
        Tampering{"ByteOfAName", [](World* w) { FlipByte(w, 1, SegmentBytes(w, 1).size() - 3); }, 1,
                  "00000001.ima: record 9 "},
        Tampering{"ByteOfALength", [](World* w) { FlipByte(w, 3, 26); }, 3,
                  "00000003.ima: record 1 (offset 24)"},
        Tampering{"Truncated",
                  [](World* w) { w->fs.Find(w->SegmentPath(2) + ".ima")->data.pop_back(); }, 2,
                  "truncated in the template data: 1 bytes are missing"},
        Tampering{"LastRecordCutOff",
                  [](World* w) {
                    Bytes& data = w->fs.Find(w->SegmentPath(1) + ".ima")->data;
                    data.resize(data.size() - NgRecord("/file/8").Binary().size());
                  },
                  1, "not those that were stored"},
        Tampering{"RecordAppendedAndMetadataForged",
                  [](World* w) {
                    Bytes bytes = SegmentBytes(w, 2);
                    AppendBytes(NgRecord("/evil").Binary(), &bytes);
                    Forge(w, 2, bytes);
                  },
                  2, "counted"},
        Tampering{"RecordReplacedAndMetadataForged",
                  [](World* w) {
                    Bytes bytes = SegmentBytes(w, 1);
                    const Bytes good = NgRecord("boot_aggregate").Binary();
                    const Bytes evil = NgRecord("boot_aggregatf").Binary();
                    std::copy(evil.begin(), evil.end(), bytes.begin());
                    Forge(w, 1, bytes);
                  },
                  1, "do not have the Segment_Hash"},
        Tampering{"SegmentGone", [](World* w) { Drop(w, 2); }, 2, "segment 00000002 is missing"},
        Tampering{"FirstSegmentGone", [](World* w) { Drop(w, 1); }, 1,
                  "segment 00000001 is missing"},
        Tampering{"LastSegmentGone", [](World* w) { Drop(w, 3); }, 0,
                  "attempt 3 where attempt 2 should be"},
        Tampering{"DataGone", [](World* w) { w->fs.Remove(w->SegmentPath(2) + ".ima"); }, 2,
                  "only its metadata is there"},
        Tampering{"AllGone",
                  [](World* w) {
                    Drop(w, 1);
                    Drop(w, 2);
                    Drop(w, 3);
                  },
                  0, "records before it are missing"},
        Tampering{"DataSwapped", [](World* w) { Swap(w, ".ima"); }, 2,
                  "attempt 2 where attempt 1 should be"},
        Tampering{"SegmentsSwapped",
                  [](World* w) {
                    Swap(w, ".ima");
                    Swap(w, ".json");
                  },
                  2, "attempt 2 where attempt 1 should be"},
        Tampering{"SegmentRepeated",
                  [](World* w) {
                    w->fs.Write(w->SegmentPath(4) + ".ima", AsText(SegmentBytes(w, 3)));
                    w->fs.Write(w->SegmentPath(4) + ".json",
                                *w->fs.Read(w->SegmentPath(3) + ".json"));
                  },
                  4, "attempt 2 where attempt 3 should be"},
        Tampering{"SegmentsRenumberedOverAGap",
                  [](World* w) {
                    Drop(w, 2);
                    w->fs.Move(w->SegmentPath(3) + ".ima", w->SegmentPath(2) + ".ima");
                    w->fs.Remove(w->SegmentPath(3) + ".json");
                  },
                  2, "attempt 2 where attempt 1 should be"},
        Tampering{"MetadataBroken",
                  [](World* w) { w->fs.Write(w->SegmentPath(2) + ".json", "{}"); }, 2,
                  "metadata is broken"},
        Tampering{"NotExtended",
                  [](World* w) {
                    // A record that is in the list but never reached the TPM.
                    const PcrValues before = w->kernel.Pcrs();
                    w->kernel.Measure(NgRecord("/x"));
                    w->kernel.Measure(NgRecord("/y"));
                    w->kernel.ForcePcrs(before);
                  },
                  0, "does not replay to sha1 PCR 10", true}),
    [](const auto& p) { return p.param.name; });

TEST(VerifyTest, MissingMetadataIsNoMismatch) {
  World world;
  Fill(&world);
  world.fs.Remove(world.SegmentPath(2) + ".json");
  EXPECT_TRUE(world.IsWhole());
  world.fs.Remove(world.SegmentPath(3) + ".json");
  EXPECT_TRUE(world.IsWhole());
}

TEST(VerifyTest, AggregateThatLiesAboutAPcrIsFound) {
  World world;
  world.kernel.MeasureFiles(3);
  PcrValues before = world.kernel.Pcrs();
  before["sha256"][10].bytes[0] ^= std::byte{1};
  world.kernel.ForcePcrs(before);
  ASSERT_TRUE(world.Take().ok());
  auto report = world.Verify(nullptr);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->bank, "sha256");
  EXPECT_EQ(report->finding->pcr, 10U);
  EXPECT_EQ(report->finding->record, 5U);
  EXPECT_EQ(report->finding->expected, before["sha256"][10].Hex());
}

}  // namespace
}  // namespace imasnap
