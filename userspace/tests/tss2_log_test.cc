// SPDX-License-Identifier: GPL-2.0-or-later
//
// That tpm2-tss then prints nothing: attest_test.cc and quote_files_test.cc.
#include "tpm/tss2_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace imasnap {
namespace {

using ::testing::StrEq;

// As both programs begin. Each library of tpm2-tss looks once, in whatever test needs it first.
[[maybe_unused]] const bool kQuiet = [] {
  KeepTss2Quiet();
  return true;
}();

TEST(Tss2LogTest, IsOffUnlessTheUserWantsIt) {
  ASSERT_EQ(::unsetenv("TSS2_LOG"), 0);
  KeepTss2Quiet();
  EXPECT_THAT(std::getenv("TSS2_LOG"), StrEq("all+none"));
  ASSERT_EQ(::setenv("TSS2_LOG", "esys+debug", 1), 0);
  KeepTss2Quiet();
  EXPECT_THAT(std::getenv("TSS2_LOG"), StrEq("esys+debug"));
  ASSERT_EQ(::setenv("TSS2_LOG", "all+none", 1), 0);
}

}  // namespace
}  // namespace imasnap
