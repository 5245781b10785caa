// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm/reset_count.h"

#include <gtest/gtest.h>

namespace imasnap::testing {
namespace {

TEST(ToldOnceTest, AsksUntilItIsToldAndNoCopyAsksAgain) {
  int asked = 0;
  std::optional<uint32_t> answer;
  const ResetCount count = CachedResetCount([&] {
    ++asked;
    return answer;
  });
  EXPECT_EQ(count(), std::nullopt);
  EXPECT_EQ(count(), std::nullopt);
  EXPECT_EQ(asked, 2) << "a TPM that did not answer may later";
  answer = 5;
  const ResetCount copy = count;
  EXPECT_EQ(copy(), 5U);
  answer = 6;
  EXPECT_EQ(count(), 5U);
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace imasnap::testing
