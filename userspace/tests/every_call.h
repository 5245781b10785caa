// SPDX-License-Identifier: GPL-2.0-or-later
//
// For loops over every call that may fail: the kinds of failure, and which calls to
// try. The sanitizers make each round ten times slower. With them a test tries one call
// in kCallStep, and another test of the same loop tries others. The plain build tries
// every call.
#ifndef IMASNAP_TESTS_EVERY_CALL_H_
#define IMASNAP_TESTS_EVERY_CALL_H_

#include <gtest/gtest.h>

#include <cerrno>
#include <numeric>
#include <string_view>

#include "fake_file_system.h"

namespace imasnap::testing {

#ifdef IMASNAP_SANITIZE
inline constexpr int kCallStep = 5;
#else
inline constexpr int kCallStep = 1;
#endif

// Of the running test; from 1.
inline int FirstCall() {
  const std::string_view name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  return 1 + std::accumulate(name.begin(), name.end(), 0) % kCallStep;
}

struct FaultCase {
  const char* name;
  Fault fault;
  bool lose_unsynced = false;  // when the process dies, the machine does too
};

inline constexpr int kForEver = 1000000;

inline const FaultCase kFaultCases[] = {
    {"Eio", {.kind = Fault::Kind::kError, .errno_value = EIO}},
    {"EioForEver", {.kind = Fault::Kind::kError, .errno_value = EIO, .times = kForEver}},
    {"Enospc", {.kind = Fault::Kind::kError, .errno_value = ENOSPC}},
    {"Eintr", {.kind = Fault::Kind::kError, .errno_value = EINTR}},
    {"Short", {.kind = Fault::Kind::kShort}},
    {"KilledBefore", {.kind = Fault::Kind::kCrashBefore}},
    {"KilledAfter", {.kind = Fault::Kind::kCrashAfter}},
    {"UnsyncedLostBefore", {.kind = Fault::Kind::kCrashBefore}, true},
    {"UnsyncedLostAfter", {.kind = Fault::Kind::kCrashAfter}, true},
};

}  // namespace imasnap::testing

#endif  // IMASNAP_TESTS_EVERY_CALL_H_
