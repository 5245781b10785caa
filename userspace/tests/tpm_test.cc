// SPDX-License-Identifier: GPL-2.0-or-later
//
// A TPM that cannot be reached.
#include "tpm/tpm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imasnap {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

TEST(TpmTest, MachineWithoutOneIsSaidToHaveNone) {
  if (HasDefaultTpm()) {
    GTEST_SKIP() << "this machine has a TPM";
  }
  const auto tpm = Tpm::Open("");
  ASSERT_FALSE(tpm.ok());
  EXPECT_EQ(tpm.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(tpm.error().ToString(), "there is no TPM 2.0: /dev/tpmrm0 does not exist");
}

TEST(TpmTest, DeviceThatCannotBeOpenedIsNamedWithTheReason) {
  for (const auto& [path, reason] : std::vector<std::pair<std::string, std::string>>{
           {"/none", "No such file or directory"}, {"/", "Is a directory"}}) {
    const auto tpm = Tpm::Open("device:" + path);
    ASSERT_FALSE(tpm.ok());
    EXPECT_EQ(tpm.error().code, ErrorCode::kCannotCheck);
    EXPECT_THAT(tpm.error().ToString(), StartsWith(path + ": open: "));
    EXPECT_THAT(tpm.error().ToString(), EndsWith(reason));
  }
}

// As in tpm2-tools: nothing behind the colon is no device without a name.
TEST(TpmTest, DeviceWithoutAPathIsTheDefaultOne) {
  if (HasDefaultTpm()) {
    GTEST_SKIP() << "this machine has a TPM";
  }
  const auto tpm = Tpm::Open("device:");
  ASSERT_FALSE(tpm.ok());
  EXPECT_EQ(tpm.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(tpm.error().ToString(), "there is no TPM 2.0: /dev/tpmrm0 does not exist");
}

}  // namespace
}  // namespace imasnap
