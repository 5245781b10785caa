// SPDX-License-Identifier: GPL-2.0-or-later
//
// That tpm2-tss then prints nothing: attest_test.cc and quote_files_test.cc.
#include "tss2_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace imasnap {
namespace {

using ::testing::StrEq;

TEST(Tss2LogTest, IsOffUnlessTheUserWantsIt) {
  ASSERT_EQ(::unsetenv("TSS2_LOG"), 0);
  KeepTss2Quiet();
  EXPECT_THAT(std::getenv("TSS2_LOG"), StrEq("all+none"));
  ASSERT_EQ(::setenv("TSS2_LOG", "esys+debug", 1), 0);
  KeepTss2Quiet();
  EXPECT_THAT(std::getenv("TSS2_LOG"), StrEq("esys+debug"));
}

}  // namespace
}  // namespace imasnap
