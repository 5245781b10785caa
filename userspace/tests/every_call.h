// SPDX-License-Identifier: GPL-2.0-or-later
//
// For loops over every call that may fail. The sanitizers make each round ten
// times as dear: under them a test takes one call in kCallStep, and another test
// of the same loop others. The plain build takes every call.
#ifndef IMASNAP_TESTS_EVERY_CALL_H_
#define IMASNAP_TESTS_EVERY_CALL_H_

#include <gtest/gtest.h>

#include <numeric>
#include <string_view>

namespace imasnap::testing {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr int kCallStep = 5;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr int kCallStep = 5;
#else
inline constexpr int kCallStep = 1;
#endif
#else
inline constexpr int kCallStep = 1;
#endif

// Of the running test; from 1.
inline int FirstCall() {
  const std::string_view name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  return 1 + std::accumulate(name.begin(), name.end(), 0) % kCallStep;
}

}  // namespace imasnap::testing

#endif  // IMASNAP_TESTS_EVERY_CALL_H_
