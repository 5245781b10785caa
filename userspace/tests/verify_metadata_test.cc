// SPDX-License-Identifier: GPL-2.0-or-later
//
// Each figure in a segment's metadata is compared with its bytes; and what staging
// took is counted as not chained.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tampering.h"
#include "world.h"

namespace imasnap {
namespace {

using testing::Kind;
using testing::World;

struct Figure {
  const char* name;
  void (*change)(SegmentInfo*);
  Cause cause;
};
class VerifyMetadataTest : public ::testing::TestWithParam<Figure> {};

TEST_P(VerifyMetadataTest, ThatContradictTheBytesAreAMismatch) {
  for (const uint64_t number : {1U, 2U, 3U}) {
    World world;
    testing::Fill(&world);
    SegmentInfo info = world.Info(number);
    GetParam().change(&info);
    world.SetInfo(number, info);
    const auto report = world.Verify(nullptr);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    ASSERT_TRUE(report->finding) << number;
    EXPECT_EQ(report->finding->segment, number);
    EXPECT_EQ(report->finding->cause, GetParam().cause);
    EXPECT_NE(report->finding->expected, report->finding->found);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Figures, VerifyMetadataTest,
    ::testing::Values(
        Figure{"Bytes", [](SegmentInfo* i) { ++i->bytes; }, Cause::kMetadataBytes},
        Figure{"Sha256", [](SegmentInfo* i) { i->sha256.bytes[31] ^= std::byte{1}; },
               Cause::kMetadataSha256},
        Figure{"Records", [](SegmentInfo* i) { ++i->records; }, Cause::kMetadataRecords},
        Figure{"FirstRecord", [](SegmentInfo* i) { ++i->first_record; }, Cause::kMetadataNumbers},
        Figure{"LastRecord", [](SegmentInfo* i) { --i->last_record; }, Cause::kMetadataNumbers}),
    [](const auto& p) { return p.param.name; });

// What is staged and the list are one: everything there was is staged together.
TEST(VerifyUnchainedTest, IsCountedOncePerSegmentThatStagingTook) {
  World world(Kind::kStaging);
  for (uint64_t segments = 1; segments <= 2; ++segments) {
    world.kernel.MeasureFiles(3);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.MeasureFiles(3);
    EXPECT_EQ(world.Verify(&world.tpm)->unchained, segments);
  }
  ASSERT_EQ(world.kernel.Stage(), 0);
  world.kernel.MeasureFiles(2);
  const auto report = world.Verify(&world.tpm);
  ASSERT_TRUE(report.ok());
  ASSERT_FALSE(report->finding);
  EXPECT_EQ(report->unchained, 2U);
}

}  // namespace
}  // namespace imasnap
