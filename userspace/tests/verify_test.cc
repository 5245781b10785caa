// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/verify.h"

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

// A change to a store of three segments, and what verification must report.
struct Tampering {
  const char* name;
  void (*tamper)(World*);
  uint64_t segment;  // 0: the kernel's list
  Cause cause;
  uint64_t record_in_file = 0;  // 0: the finding is about the part
  std::string expected{};       // if not empty
  std::string found{};
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
    EXPECT_EQ(report->finding->cause, GetParam().cause) << report->finding->message;
    EXPECT_EQ(report->finding->record_in_file.value_or(0), GetParam().record_in_file);
    if (!GetParam().expected.empty()) {
      EXPECT_EQ(report->finding->expected, GetParam().expected);
      EXPECT_EQ(report->finding->found, GetParam().found);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Stores, TamperingTest,
    ::testing::Values(
        Tampering{"ByteOfAPcrNumber", [](World* w) { FlipByte(w, 2, 0); }, 2,
                  Cause::kMetadataSha256},
        Tampering{"ByteOfADigest", [](World* w) { FlipByte(w, 2, 6); }, 2, Cause::kTemplateDigest,
                  1},
        Tampering{"ByteOfAName", [](World* w) { FlipByte(w, 1, SegmentBytes(w, 1).size() - 3); }, 1,
                  Cause::kTemplateDigest, 9},
        Tampering{"ByteOfALength", [](World* w) { FlipByte(w, 3, 26); }, 3, Cause::kWrongLength, 1},
        Tampering{"Truncated",
                  [](World* w) { w->fs.Find(w->SegmentPath(2) + ".ima")->data.pop_back(); }, 2,
                  Cause::kTruncated, 9},
        Tampering{"LastRecordCutOff",
                  [](World* w) {
                    Bytes& data = w->fs.Find(w->SegmentPath(1) + ".ima")->data;
                    data.resize(data.size() - NgRecord("/file/8").Binary().size());
                  },
                  1, Cause::kMetadataBytes},
        Tampering{"RecordAppendedAndMetadataForged",
                  [](World* w) {
                    Bytes bytes = SegmentBytes(w, 2);
                    AppendBytes(NgRecord("/evil").Binary(), &bytes);
                    Forge(w, 2, bytes);
                  },
                  2, Cause::kRecordCount, 0, "18", "19"},
        Tampering{"RecordReplacedAndMetadataForged",
                  [](World* w) {
                    Bytes bytes = SegmentBytes(w, 1);
                    const Bytes good = NgRecord("boot_aggregate").Binary();
                    const Bytes evil = NgRecord("boot_aggregatf").Binary();
                    std::copy(evil.begin(), evil.end(), bytes.begin());
                    Forge(w, 1, bytes);
                  },
                  1, Cause::kSegmentHash},
        Tampering{"SegmentGone", [](World* w) { Drop(w, 2); }, 2, Cause::kSegmentMissing, 0,
                  "segment 00000002", "segment 00000003"},
        Tampering{"FirstSegmentGone", [](World* w) { Drop(w, 1); }, 1, Cause::kSegmentMissing, 0,
                  "segment 00000001", "segment 00000002"},
        Tampering{"LastSegmentGone", [](World* w) { Drop(w, 3); }, 0, Cause::kAttempt, 1, "2", "3"},
        Tampering{"DataGone", [](World* w) { w->fs.Remove(w->SegmentPath(2) + ".ima"); }, 2,
                  Cause::kSegmentMissing, 0, "segment 00000002", "its metadata alone"},
        Tampering{"AllGone",
                  [](World* w) {
                    Drop(w, 1);
                    Drop(w, 2);
                    Drop(w, 3);
                  },
                  0, Cause::kBeginningMissing, 1},
        Tampering{"DataSwapped", [](World* w) { Swap(w, ".ima"); }, 2, Cause::kAttempt, 1, "1",
                  "2"},
        Tampering{"SegmentsSwapped",
                  [](World* w) {
                    Swap(w, ".ima");
                    Swap(w, ".json");
                  },
                  2, Cause::kAttempt, 1, "1", "2"},
        Tampering{"SegmentRepeated",
                  [](World* w) {
                    w->fs.Write(w->SegmentPath(4) + ".ima", AsText(SegmentBytes(w, 3)));
                    w->fs.Write(w->SegmentPath(4) + ".json",
                                *w->fs.Read(w->SegmentPath(3) + ".json"));
                  },
                  4, Cause::kAttempt, 1, "3", "2"},
        Tampering{"SegmentsRenumberedOverAGap",
                  [](World* w) {
                    Drop(w, 2);
                    w->fs.Move(w->SegmentPath(3) + ".ima", w->SegmentPath(2) + ".ima");
                    w->fs.Remove(w->SegmentPath(3) + ".json");
                  },
                  2, Cause::kAttempt, 1, "1", "2"},
        Tampering{"MetadataBroken",
                  [](World* w) { w->fs.Write(w->SegmentPath(2) + ".json", "{}"); }, 2,
                  Cause::kMetadata},
        Tampering{"NotExtended",
                  [](World* w) {
                    // A record that is in the list but never reached the TPM.
                    const PcrValues before = w->kernel.Pcrs();
                    w->kernel.Measure(NgRecord("/x"));
                    w->kernel.Measure(NgRecord("/y"));
                    w->kernel.ForcePcrs(before);
                  },
                  0, Cause::kPcrMismatch, 0, "", "", true}),
    [](const auto& p) { return p.param.name; });

TEST(VerifyTest, MissingMetadataIsNotAMismatch) {
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
