// SPDX-License-Identifier: GPL-2.0-or-later
//
// A TPM that cannot be reached.
#include "tpm/tpm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imasnap {
namespace {

TEST(TpmTest, MachineWithoutOneIsSaidToHaveNone) {
  if (HasDefaultTpm()) {
    GTEST_SKIP() << "this machine has a TPM";
  }
  const auto tpm = Tpm::Open("");
  ASSERT_FALSE(tpm.ok());
  EXPECT_EQ(tpm.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(tpm.error().cause, Cause::kNoTpm);
}

TEST(TpmTest, DeviceThatCannotBeOpenedIsNamedWithTheReason) {
  for (const auto& [path, number] :
       std::vector<std::pair<std::string, int>>{{"/none", ENOENT}, {"/", EISDIR}}) {
    const auto tpm = Tpm::Open("device:" + path);
    ASSERT_FALSE(tpm.ok());
    EXPECT_EQ(tpm.error().code, ErrorCode::kCannotCheck);
    EXPECT_EQ(tpm.error().cause, Cause::kTpmNotOpened);
    EXPECT_EQ(tpm.error().file, path);
    EXPECT_EQ(tpm.error().errno_value, number);
  }
}

// As in tpm2-tools: nothing after the colon does not mean a device without a name.
TEST(TpmTest, DeviceWithoutAPathIsTheDefaultOne) {
  if (HasDefaultTpm()) {
    GTEST_SKIP() << "this machine has a TPM";
  }
  const auto tpm = Tpm::Open("device:");
  ASSERT_FALSE(tpm.ok());
  EXPECT_EQ(tpm.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(tpm.error().cause, Cause::kNoTpm);
}

}  // namespace
}  // namespace imasnap
