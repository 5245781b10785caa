// SPDX-License-Identifier: GPL-2.0-or-later
#include "loaded_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imasnap {
namespace {

using ::testing::HasSubstr;

constexpr const char* kMath = "libm.so.6";

TEST(LoadLibraryTest, SetsThePointers) {
  double (*cosine)(double) = nullptr;
  ASSERT_TRUE(LoadLibrary(kMath, {{"cos", reinterpret_cast<void**>(&cosine)}}).ok());
  EXPECT_EQ(cosine(0), 1);
}

TEST(LoadLibraryTest, SaysWhichLibraryIsMissing) {
  const Status status = LoadLibrary("libthatisnowhere.so.1", {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCannotCheck);
  EXPECT_THAT(status.error().ToString(), HasSubstr("libthatisnowhere.so.1"));
}

TEST(LoadLibraryTest, SaysWhichFunctionIsMissing) {
  void* nothing = nullptr;
  const Status status = LoadLibrary(kMath, {{"function_of_a_later_version", &nothing}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCannotCheck);
  EXPECT_THAT(status.error().ToString(), HasSubstr("function_of_a_later_version"));
}

}  // namespace
}  // namespace imasnap
