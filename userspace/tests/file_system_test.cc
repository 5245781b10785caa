// SPDX-License-Identifier: GPL-2.0-or-later
//
// What FileSystem and File make of single calls: durable files and directories,
// calls that were interrupted.
#include "base/file_system.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "fake_file_system.h"

namespace imasnap {
namespace {

using testing::FakeFileSystem;
using testing::Fault;

// Some file systems report only then that bytes were lost.
TEST(FileSystemTest, AnErrorOfAnyCallLeavesTheOldFile) {
  for (const char* call : {"open /d/file.tmp", "write /d/file.tmp", "fsync /d/file.tmp",
                           "close /d/file.tmp", "rename /d/file.tmp"}) {
    FakeFileSystem fs(nullptr);
    fs.MakeAll("/d");
    ASSERT_TRUE(fs.WriteDurably("/d/file", "old").ok());
    Fault fault;
    fault.errno_value = EIO;
    fault.at = call;
    fs.Arm(fault);
    const Status wrote = fs.WriteDurably("/d/file", "new");
    ASSERT_FALSE(wrote.ok()) << call;
    EXPECT_EQ(wrote.error().errno_value, EIO);
    EXPECT_EQ(fs.Names("/d"), std::vector<std::string>{"file"});
    fs.Restart(/*lose_unsynced=*/true);
    EXPECT_EQ(fs.Read("/d/file"), "old") << call;
  }
}

TEST(FileSystemTest, DirectoriesThatWereMadeAreDurable) {
  FakeFileSystem fs(nullptr);
  fs.MakeAll("/d");
  ASSERT_TRUE(fs.MakeDirectories("/d/a/b/c").ok());
  fs.Restart(/*lose_unsynced=*/true);
  EXPECT_NE(fs.Find("/d/a/b/c"), nullptr);
}

TEST(FileSystemTest, CallsThatWereInterruptedAreMadeAgain) {
  FakeFileSystem fs(nullptr);
  fs.MakeAll("/d");
  for (const char* call : {"open /d/file.tmp", "write /d/file.tmp", "fsync /d/file.tmp",
                           "open /d/file", "read /d/file", "pread /d/file"}) {
    Fault fault;
    fault.errno_value = EINTR;
    fault.at = call;
    fault.times = 1;
    fs.Arm(fault);
    const Status wrote = fs.WriteDurably("/d/file", "text");
    EXPECT_TRUE(wrote.ok()) << call;
    auto file = fs.OpenFile("/d/file", OpenMode::kRead);
    ASSERT_TRUE(file.ok()) << call;
    EXPECT_EQ((*file)->ReadRest(10).value(), "text") << call;
    Bytes bytes(4);
    EXPECT_TRUE((*file)->ReadAllAt(0, bytes).ok()) << call;
    EXPECT_EQ(AsText(bytes), "text");
    EXPECT_TRUE(fs.fault_hit()) << call;
  }
}

}  // namespace
}  // namespace imasnap
