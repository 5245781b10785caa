// SPDX-License-Identifier: GPL-2.0-or-later
//
// `mount`, ended by a signal before the view is there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/app.h"
#include "world.h"

namespace imasnap::cli {
namespace {

using ::testing::IsEmpty;

// A log whose first segment is longer than what is read without a look at the
// signals, and whose second cannot be read.
class MountCommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "mount-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    for (const int files : {5000, 5}) {
      world_.kernel.MeasureFiles(files);
      ASSERT_TRUE(world_.Take().ok());
    }
    world_.fs.Arm(
        {.errno_value = EIO, .times = 1000, .at = "read " + world_.SegmentPath(2) + ".ima"});
  }
  void TearDown() override { ::rmdir(directory_.c_str()); }

  // `signal` comes when the first segment is opened, 0: none does.
  int Mount(int signal) {
    world_.fs.on_call = [this, signal](const std::string& call) {
      if (signal != 0 && call == "open " + world_.SegmentPath(1) + ".ima") {
        ::raise(signal);
      }
    };
    std::ostringstream out;
    const Host host{
        .fs = world_.fs,
        .out = out,
        .err = err_,
        .now = [] { return std::string("2026-01-02T03:04:05Z"); },
        .kernel_release = "7.3.0-test",
        .open_tpm = {},
        .reset_count = [this](const std::string&) { return world_.reset_count; },
    };
    return RunApp({"mount", directory_, "--securityfs", "/elsewhere", "--json"}, host);
  }

  testing::World world_;
  std::string directory_;
  std::ostringstream err_;
};

TEST_F(MountCommandTest, SignalEndsItWhileItReadsTheLog) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    EXPECT_EQ(Mount(signal), kExitOk) << signal;
    EXPECT_THAT(err_.str(), IsEmpty());
  }
  EXPECT_FALSE(world_.fs.fault_hit()) << "it read on";
}

TEST_F(MountCommandTest, WithoutASignalItReadsOnAndReportsWhatItCannotRead) {
  EXPECT_EQ(Mount(0), kExitFailed);
  const auto error = nlohmann::json::parse(err_.str())["error"];
  EXPECT_EQ(error["file"], world_.SegmentPath(2) + ".ima");
  EXPECT_EQ(error["errno"], EIO);
  EXPECT_TRUE(world_.fs.fault_hit());
}

}  // namespace
}  // namespace imasnap::cli
