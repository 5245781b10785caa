// SPDX-License-Identifier: GPL-2.0-or-later
//
// A log that was verified, and the state of it.
#ifndef IMASNAP_TESTS_CHECKPOINT_FIXTURE_H_
#define IMASNAP_TESTS_CHECKPOINT_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "verify/checkpoint.h"
#include "verify/verify.h"
#include "world.h"

namespace imasnap::testing {

inline constexpr const char* kFile = "/state";

inline Result<VerifyReport> VerifyFrom(World* world, const With& with, const Checkpoint* from) {
  const Environment env = world->Env();
  IMASNAP_ASSIGN(const BootLog boot_log, OpenBootLog(env));
  LogIdentity identity{
      .machine = env.identity.machine, .boot = {}, .created = {}, .reset_count = env.reset_count()};
  if (boot_log.session) {
    identity = IdentityOf(*boot_log.session->info);
  }
  return VerifyLog(PartsOf(env, boot_log), with.get(),
                   {.from = from, .state_file = kFile, .identity = identity});
}

// Two segments, a list, and the state after verifying them.
class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Snapshot();
    Snapshot();
    auto report = VerifyFrom(&world_, &world_.tpm, nullptr);
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    ASSERT_TRUE(report->checkpoint);
    state_ = *report->checkpoint;
  }

  void Snapshot() {
    world_.kernel.MeasureFiles(8);
    ASSERT_TRUE(world_.Take().ok());
    world_.kernel.MeasureFiles(3);
  }

  // The state is refused for this cause, and the log itself is good. Returns the error.
  Error ExpectRefused(const Checkpoint& state, Cause cause) {
    EXPECT_TRUE(world_.IsWhole());
    auto report = VerifyFrom(&world_, &world_.tpm, &state);
    EXPECT_FALSE(report.ok());
    if (report.ok()) {
      return {};
    }
    EXPECT_EQ(report.error().code, ErrorCode::kCannotCheck);
    EXPECT_EQ(report.error().cause, cause) << report.error().message;
    EXPECT_EQ(report.error().file, "/state");
    return report.error();
  }

  World world_;
  Checkpoint state_;
};

}  // namespace imasnap::testing

#endif  // IMASNAP_TESTS_CHECKPOINT_FIXTURE_H_
