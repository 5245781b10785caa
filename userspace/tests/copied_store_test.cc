// SPDX-License-Identifier: GPL-2.0-or-later
//
// A copy of a store and of the kernel's list: which segments come before the list.
#include "verify/copied_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "world.h"

namespace imasnap {
namespace {

using testing::Kind;
using testing::kStore;
using testing::World;

// Violations have no entry in the hash table: what staging took and the kernel
// deleted can begin the list again.
TEST(CopiedStoreTest, BytesMeasuredAgainAreNotAPurgedSegmentsRecords) {
  World world(Kind::kStaging);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.Measure(testing::Violation("/same"));
  ASSERT_TRUE(world.Take().ok());
  world.kernel.Measure(testing::Violation("/same"));
  world.kernel.MeasureFiles(2);
  world.fs.Write("/live", AsText(world.kernel.InMemory()));
  const auto log = OpenCopiedLog(world.fs, kStore, std::nullopt, "/live");
  ASSERT_TRUE(log.ok()) << log.error().ToString();
  EXPECT_EQ(log->parts.size(), 3U);
  FixedPcrs pcrs(world.kernel.Pcrs());
  const auto report = VerifyLog(log->parts, &pcrs);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  EXPECT_FALSE(report->finding);
  EXPECT_EQ(report->records, world.kernel.total());
}

// Between the reads of the PCRs another program stages and deletes what was read.
class ShrinkingTpm : public testing::FakeTpm {
 public:
  explicit ShrinkingTpm(testing::FakeKernel* kernel) : FakeTpm(kernel), kernel_(kernel) {}
  Result<PcrValues> Read(const std::vector<uint32_t>& pcrs) override {
    if (!pcrs.empty() && !shrunk_) {  // else it only asks for the banks
      shrunk_ = true;
      EXPECT_EQ(kernel_->Stage(), 0);
      EXPECT_EQ(kernel_->DeleteStaged(), 0);
      kernel_->Measure(testing::NgRecord("/x"));
    }
    return FakeTpm::Read(pcrs);
  }

 private:
  testing::FakeKernel* kernel_;
  bool shrunk_ = false;
};

TEST(GrowingCopyTest, ListThatGotShorterWhileItIsVerifiedCannotBeChecked) {
  World world(Kind::kStaging);
  world.kernel.MeasureFiles(9);
  ShrinkingTpm tpm(&world.kernel);
  const auto report = world.Verify(&tpm);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(report.error().cause, Cause::kListShrank);
}

}  // namespace
}  // namespace imasnap
