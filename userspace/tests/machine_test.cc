// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/machine.h"

#include <gtest/gtest.h>

#include "fake_file_system.h"

namespace imasnap::testing {
namespace {

class MachineTest : public ::testing::Test {
 protected:
  FakeKernel kernel_;
  FakeFileSystem fs_{&kernel_};
};

TEST_F(MachineTest, IdentityIsThatOfSystemd) {
  fs_.Write("/etc/machine-id", "00112233445566778899aabbccddeeff\n");
  fs_.Write("/proc/sys/kernel/random/boot_id", "d0c5a43e-9d09-4c21-8c70-2f6b1b4b1f0a\n");
  const MachineIdentity identity = ReadMachineIdentity(fs_);
  // HMAC-SHA-256 of the application's id, keyed with the machine's, by another
  // implementation; cut to 16 bytes and marked as a UUID of version 4.
  EXPECT_EQ(identity.machine, "dd54ff40b7b84a74944c61e29394d233");
  EXPECT_EQ(identity.boot, "d0c5a43e9d094c218c702f6b1b4b1f0a");
}

TEST_F(MachineTest, WhatTheSystemDoesNotReportIsEmpty) {
  EXPECT_EQ(ReadMachineIdentity(fs_), MachineIdentity());
  for (const char* text : {"", "uninitialized\n", "00112233\n"}) {
    fs_.Write("/etc/machine-id", text);
    fs_.Write("/proc/sys/kernel/random/boot_id", text);
    EXPECT_EQ(ReadMachineIdentity(fs_), MachineIdentity()) << text;
  }
}

}  // namespace
}  // namespace imasnap::testing
