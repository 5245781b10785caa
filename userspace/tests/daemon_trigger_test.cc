// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include "daemon/backoff.h"
#include "daemon/trigger.h"

namespace imasnap::daemon {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

Limits Some() {
  Limits limits;
  limits.max_records = 100;
  limits.max_bytes = 5000;
  limits.max_age = hours(1);
  return limits;
}

Reason ReasonOf(const Limits& limits, const Counts& counts, Time age) {
  return Trigger().Decide(limits, counts, age).reason;
}

TEST(TriggerTest, EachLimitIsDueWhenItIsReachedAndNotBefore) {
  EXPECT_EQ(ReasonOf(Some(), {99, 4999}, minutes(59)), Reason::kNone);
  EXPECT_EQ(ReasonOf(Some(), {100, 4999}, minutes(59)), Reason::kRecords);
  EXPECT_EQ(ReasonOf(Some(), {99, 5000}, minutes(59)), Reason::kBytes);
  EXPECT_EQ(ReasonOf(Some(), {99, 4999}, minutes(60)), Reason::kAge);
}

TEST(TriggerTest, LimitThatIsOffIsNeverDue) {
  Limits limits;
  EXPECT_FALSE(limits.any());
  EXPECT_EQ(ReasonOf(limits, {1000000, 1000000}, hours(10000)), Reason::kNone);
  limits.max_bytes = 1;
  EXPECT_TRUE(limits.any());
  EXPECT_EQ(ReasonOf(limits, {1000000, std::nullopt}, hours(10000)), Reason::kNone);
}

TEST(TriggerTest, ListInWhichNothingIsNewIsNeverDue) {
  Limits limits = Some();
  limits.max_records = 1;
  EXPECT_EQ(ReasonOf(limits, {1, 9000}, hours(2)), Reason::kNone);
  EXPECT_EQ(ReasonOf(limits, {2, 9000}, hours(2)), Reason::kRecords);
  // Where a purge leaves nothing, one record is new.
  EXPECT_EQ(Trigger(0).Decide(limits, {0, 0}, hours(2)).reason, Reason::kNone);
  EXPECT_EQ(Trigger(0).Decide(limits, {1, 10}, hours(2)).reason, Reason::kRecords);
}

TEST(TriggerTest, LooksAgainAtTheIntervalOrWhenTheAgeIsReached) {
  Limits limits = Some();
  limits.check_interval = minutes(10);
  Trigger trigger;
  EXPECT_EQ(trigger.Decide(limits, {5, 100}, minutes(10)).look_again, minutes(10));
  EXPECT_EQ(trigger.Decide(limits, {5, 100}, minutes(53)).look_again, minutes(7));
  // Nothing new: the age alone makes nothing due.
  EXPECT_EQ(trigger.Decide(limits, {1, 100}, minutes(53)).look_again, minutes(10));
}

TEST(TriggerTest, WhatAMarkLeftInMemoryIsNotCountedAgain) {
  Trigger trigger;
  trigger.Taken({150, 9000});
  EXPECT_EQ(trigger.Decide(Some(), {150, 9000}, hours(2)).reason, Reason::kNone);
  EXPECT_EQ(trigger.Decide(Some(), {249, 13999}, seconds(0)).reason, Reason::kNone);
  EXPECT_EQ(trigger.Decide(Some(), {250, 13999}, seconds(0)).reason, Reason::kRecords);
  EXPECT_EQ(trigger.Decide(Some(), {249, 14000}, seconds(0)).reason, Reason::kBytes);
  // Another program purged: all that is there now is new.
  EXPECT_EQ(trigger.Decide(Some(), {99, 100}, seconds(0)).reason, Reason::kNone);
  EXPECT_EQ(trigger.Decide(Some(), {120, 100}, seconds(0)).reason, Reason::kRecords);
}

TEST(TriggerTest, LimitsComeFromTheConfiguration) {
  Config config;
  config.max_age_seconds = 60;
  const Limits limits = LimitsOf(config);
  EXPECT_EQ(limits.max_records, 10000U);
  EXPECT_EQ(limits.max_bytes, 4U << 20);
  EXPECT_EQ(limits.max_age, minutes(1));
  EXPECT_EQ(limits.check_interval, seconds(5));
  EXPECT_EQ(limits.ToString(), "10000 records or 4.2 MB or 60 s");
  EXPECT_EQ(Limits().ToString(), "never");
}

TEST(BackoffTest, DoublesFromASecondToFiveMinutesAndBeginsAnew) {
  Backoff backoff;
  for (const int wanted : {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}) {
    EXPECT_EQ(backoff.Failed(), seconds(wanted));
  }
  EXPECT_EQ(backoff.failures(), 11);
  backoff.Reset();
  EXPECT_EQ(backoff.failures(), 0);
  EXPECT_EQ(backoff.Failed(), seconds(1));
}

}  // namespace
}  // namespace imasnap::daemon
