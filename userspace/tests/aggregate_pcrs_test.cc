// SPDX-License-Identifier: GPL-2.0-or-later
//
// What an aggregate says of the PCRs that the records before it extended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "log/aggregate.h"
#include "world.h"

namespace imasnap {
namespace {

using testing::NgRecord;
using testing::World;

// Measures files to PCRs 10 and 11, and then what a marker would record of them.
Aggregate Truth(World* world) {
  world->kernel.MeasureFiles(3);
  world->kernel.Measure(NgRecord("/other", 11));
  Aggregate aggregate;
  aggregate.attempt = 1;
  aggregate.record_count = world->kernel.total();
  aggregate.segment_hash = testing::HashOf(HashAlg::kSha256, world->kernel.InMemory());
  for (const auto& [bank, pcrs] : world->kernel.Pcrs()) {
    aggregate.banks.push_back({bank, pcrs});
  }
  return aggregate;
}

std::optional<Finding> FoundWith(World* world, const Aggregate& aggregate) {
  world->kernel.Measure(testing::BufRecord(kAggregateEvent, FormatAggregate(aggregate)));
  auto report = world->Verify(nullptr);
  EXPECT_TRUE(report.ok()) << report.error().ToString();
  return report.ok() ? report->finding : std::nullopt;
}

TEST(AggregatePcrsTest, TruthIsAccepted) {
  World world;
  const auto found = FoundWith(&world, Truth(&world));
  EXPECT_FALSE(found) << found->message;
}

// One that is left out is at its reset value, which an extended one is not.
TEST(AggregatePcrsTest, APcrThatWasExtendedMayNotBeLeftOut) {
  for (const uint32_t pcr : {10U, 11U}) {
    for (const size_t bank : {0U, 1U}) {
      World world;
      Aggregate aggregate = Truth(&world);
      ASSERT_EQ(aggregate.banks[bank].pcrs.erase(pcr), 1U);
      const auto found = FoundWith(&world, aggregate);
      ASSERT_TRUE(found) << pcr;
      EXPECT_EQ(found->bank, aggregate.banks[bank].name);
      EXPECT_EQ(found->pcr, pcr);
      EXPECT_EQ(found->cause, Cause::kAggregatePcr);
    }
  }
}

}  // namespace
}  // namespace imasnap
