// SPDX-License-Identifier: GPL-2.0-or-later
//
// The view as mounted by this machine's kernel; skipped if a mount is not permitted.
#include "view/view_server.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "log_builder.h"
#include "view/fuse_session.h"
#include "world.h"

namespace imasnap {
namespace {

using testing::Concatenate;
using testing::NgRecord;

class ViewServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || ::access("/dev/fuse", R_OK | W_OK) != 0) {
      GTEST_SKIP() << "needs root and /dev/fuse";
    }
    std::string name = ::testing::TempDir() + "view-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    std::filesystem::create_directories(root_ + "/securityfs/ima");
    std::filesystem::create_directories(root_ + "/view");
    Append(NgRecord("boot_aggregate"));
  }
  void TearDown() override {
    if (!root_.empty()) {
      std::filesystem::remove_all(root_);
    }
  }

  std::string LivePath() const { return root_ + "/securityfs/ima/binary_runtime_measurements"; }
  std::string ViewPath(const std::string& name) const { return root_ + "/view/" + name; }

  // By rename(2): the kernel's list grows by whole records, a file by pages.
  void Append(const testing::BuiltRecord& record) {
    AppendBytes(record.Binary(), &live_);
    std::ofstream(LivePath() + ".new", std::ios::binary) << AsText(live_);
    std::filesystem::rename(LivePath() + ".new", LivePath());
  }

  // What a machine stored and its kernel's list, as files of this one.
  void CopyFrom(const testing::World& world) {
    const std::string session = root_ + "/store/boots/00000001";
    std::filesystem::create_directories(session);
    for (const std::string& name : world.fs.Names(testing::kBoot1)) {
      std::ofstream(session + "/" + name, std::ios::binary)
          << world.fs.Read(testing::kBoot1 + "/" + name).value();
    }
    std::filesystem::create_symlink("boots/00000001", root_ + "/store/current");
    std::ofstream(LivePath(), std::ios::binary) << AsText(world.kernel.InMemory());
  }

  Result<std::unique_ptr<ViewServer>> Mount() {
    Environment env{.fs = *fs_, .securityfs = root_ + "/securityfs", .reset_count = [] {
                      return std::optional<uint32_t>();
                    }};
    env.config.store = root_ + "/store";
    env.config.lock_file = root_ + "/lock";
    ViewOptions options;
    options.report = [this](const Error& error) {
      const std::lock_guard lock(mutex_);
      reported_.push_back(error);
    };
    options.lock_patience = std::chrono::milliseconds(0);
    return ViewServer::Mount(env, root_ + "/view", options);
  }

  // What the server's threads have reported.
  std::vector<Error> Reported() {
    const std::lock_guard lock(mutex_);
    return reported_;
  }

  static std::string ReadAll(int fd) {
    std::string all;
    char buffer[1000];
    ssize_t n = 0;
    while ((n = ::read(fd, buffer, sizeof(buffer))) > 0) {
      all.append(buffer, static_cast<size_t>(n));
    }
    EXPECT_EQ(n, 0) << std::strerror(errno);
    return all;
  }

  const std::unique_ptr<FileSystem> fs_ = MakePosixFileSystem();
  std::string root_;
  Bytes live_;
  std::mutex mutex_;
  std::vector<Error> reported_;
};

TEST_F(ViewServerTest, DescriptorThatIsOpenSeesEachRecordAsSoonAsItIsMeasured) {
  auto server = Mount();
  ASSERT_TRUE(server.ok()) << server.error().ToString();
  const int fd = ::open(ViewPath("binary_runtime_measurements").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  Bytes expected = NgRecord("boot_aggregate").Binary();
  std::string seen = ReadAll(fd);
  for (int i = 0; i < 200; ++i) {
    const auto record = NgRecord("/file/" + std::to_string(i));
    Append(record);
    AppendBytes(record.Binary(), &expected);
    seen += ReadAll(fd);
    ASSERT_EQ(seen, AsText(expected)) << i;
    struct stat st;
    ASSERT_EQ(::fstat(fd, &st), 0);
    ASSERT_EQ(static_cast<size_t>(st.st_size), expected.size());
  }
  ::close(fd);
}

// The kernel's page cache would fill the page of the old end with zeros.
TEST_F(ViewServerTest, ReadersAtTheEndNeverSeeAByteThatIsNotOfTheLog) {
  auto server = Mount();
  ASSERT_TRUE(server.ok()) << server.error().ToString();
  constexpr int kReaders = 8;
  std::atomic<bool> done{false};
  std::vector<std::string> seen(kReaders);
  std::vector<std::thread> readers;
  for (std::string& mine : seen) {
    readers.emplace_back([&] {
      const int fd = ::open(ViewPath("ascii_runtime_measurements").c_str(), O_RDONLY | O_CLOEXEC);
      bool last = false;
      while (!last) {
        last = done;  // once more after the last record
        mine += ReadAll(fd);
      }
      ::close(fd);
    });
  }
  for (int i = 0; i < 500; ++i) {
    Append(NgRecord("/file/" + std::to_string(i)));
  }
  done = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  std::ifstream file(ViewPath("ascii_runtime_measurements"));
  const std::string whole((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(std::ranges::count(whole, '\n'), 501);
  for (const std::string& mine : seen) {
    EXPECT_TRUE(mine == whole);
  }
}

// Those lie in files, the end in the kernel.
TEST_F(ViewServerTest, ReadsOfAnySizeAtAnyOffsetGoOverTheEndsOfSegments) {
  testing::World world;
  for (int snapshot = 0; snapshot < 3; ++snapshot) {
    world.kernel.MeasureFiles(100);
    ASSERT_TRUE(world.Take().ok());
  }
  CopyFrom(world);
  auto server = Mount();
  ASSERT_TRUE(server.ok()) << server.error().ToString();
  const Bytes whole = world.kernel.Everything();
  const int fd = ::open(ViewPath("binary_runtime_measurements").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  for (const size_t size : {size_t{100}, size_t{5000}, size_t{1} << 20}) {
    std::string buffer(size, '\0');
    for (size_t offset = 0; offset <= whole.size(); offset += 997) {
      const size_t n = std::min(size, whole.size() - offset);
      ASSERT_EQ(::pread(fd, buffer.data(), size, static_cast<off_t>(offset)),
                static_cast<ssize_t>(n));
      ASSERT_EQ(buffer.substr(0, n), AsText(whole).substr(offset, n)) << offset << " " << size;
    }
  }
  ::close(fd);
}

TEST_F(ViewServerTest, ThereMayBeMoreSegmentsThanFilesMayBeOpenByDefault) {
  testing::World world;
  for (int snapshot = 0; snapshot < 60; ++snapshot) {
    world.kernel.MeasureFiles(1);
    ASSERT_TRUE(world.Take().ok());
  }
  CopyFrom(world);
  struct rlimit limit;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const struct rlimit few = {50, limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  {
    auto server = Mount();
    ASSERT_TRUE(server.ok()) << server.error().ToString();
    std::ifstream file(ViewPath("binary_runtime_measurements"), std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
    EXPECT_EQ(whole, AsText(world.kernel.Everything()));
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST_F(ViewServerTest, SegmentThatIsCutIsAnErrorAndTheServerLives) {
  testing::World world;
  world.kernel.MeasureFiles(300);
  ASSERT_TRUE(world.Take().ok());
  CopyFrom(world);
  auto server = Mount();
  ASSERT_TRUE(server.ok()) << server.error().ToString();
  const int fd = ::open(ViewPath("binary_runtime_measurements").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  std::string buffer(100, '\0');
  ASSERT_EQ(::pread(fd, buffer.data(), buffer.size(), 20'000), 100);
  std::filesystem::resize_file(root_ + "/store/boots/00000001/00000001.ima", 10'000);
  EXPECT_EQ(::pread(fd, buffer.data(), buffer.size(), 20'000), -1);
  EXPECT_EQ(errno, EIO);
  const std::vector<Error> reported = Reported();
  ASSERT_EQ(reported.size(), 1U);
  EXPECT_EQ(reported[0].cause, Cause::kEndsEarly);
  EXPECT_EQ(reported[0].file, root_ + "/store/boots/00000001/00000001.ima");
  EXPECT_EQ(reported[0].offset, 20000U);
  EXPECT_EQ(::pread(fd, buffer.data(), buffer.size(), 0), 100) << "what is still there is right";
  ::close(fd);
}

TEST_F(ViewServerTest, EndOfTheServerIsAnErrorForReadersWithAnOpenFile) {
  auto server = Mount();
  ASSERT_TRUE(server.ok()) << server.error().ToString();
  EXPECT_TRUE((*server)->alive());
  const int fd = ::open(ViewPath("ascii_runtime_measurements").c_str(), O_RDONLY | O_CLOEXEC);
  char byte = 0;
  ASSERT_EQ(::read(fd, &byte, 1), 1);
  server->reset();
  char buffer[65536];
  EXPECT_LT(::read(fd, buffer, sizeof(buffer)), 0);
  EXPECT_EQ(errno, ENOTCONN);
  ::close(fd);
  EXPECT_TRUE(std::filesystem::is_empty(root_ + "/view"));
}

TEST_F(ViewServerTest, EndsWhileReadersAlwaysHaveARequestWaiting) {
  for (int i = 0; i < 8000; ++i) {
    AppendBytes(NgRecord("/" + std::to_string(i)).Binary(), &live_);
  }
  Append(NgRecord("/last"));
  auto server = Mount();
  ASSERT_TRUE(server.ok()) << server.error().ToString();
  const std::string path = ViewPath("ascii_runtime_measurements_sha256");
  std::vector<std::thread> readers;
  std::atomic<int> reading = 0;
  for (int i = 0; i < 16; ++i) {
    readers.emplace_back([&] {
      const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
      ++reading;
      std::vector<char> buffer(size_t{1} << 20);
      while (::pread(fd, buffer.data(), buffer.size(), 0) > 0) {
      }
      ::close(fd);
    });
  }
  while (reading < 16) {
    std::this_thread::yield();
  }
  server->reset();  // or the test never ends
  for (std::thread& reader : readers) {
    reader.join();
  }
}

TEST_F(ViewServerTest, SessionWithoutDescriptorsIsAnError) {
  ASSERT_TRUE(Mount().ok());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const fuse_lowlevel_ops ops{};
  const auto session = FuseSession::Mount(root_ + "/view", ops, nullptr);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().errno_value, EMFILE);
}

TEST_F(ViewServerTest, ReportsThatItWasUnmounted) {
  auto server = Mount();
  ASSERT_TRUE(server.ok()) << server.error().ToString();
  ASSERT_EQ(::umount2((root_ + "/view").c_str(), 0), 0);
  pollfd done{(*server)->done_fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&done, 1, -1), 1);
  EXPECT_FALSE((*server)->alive());
}

TEST_F(ViewServerTest, LeavesAloneWhatWasMountedInItsPlace) {
  auto server = Mount();
  ASSERT_TRUE(server.ok()) << server.error().ToString();
  const std::string view = root_ + "/view";
  ASSERT_EQ(::umount2(view.c_str(), 0), 0);
  ASSERT_EQ(::mount("tmpfs", view.c_str(), "tmpfs", 0, nullptr), 0);
  server->reset();
  EXPECT_EQ(::umount2(view.c_str(), 0), 0) << std::strerror(errno);
}

TEST_F(ViewServerTest, IsMountedOnceAndOnlyOnADirectory) {
  auto server = Mount();
  ASSERT_TRUE(server.ok()) << server.error().ToString();
  const auto second = Mount();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUsage);
  EXPECT_EQ(second.error().cause, Cause::kViewMounted);
  EXPECT_TRUE((*server)->alive());
  server->reset();
  std::filesystem::remove(root_ + "/view");
  const auto absent = Mount();
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().errno_value, ENOENT);
  std::ofstream(root_ + "/view") << "a file";
  const auto file = Mount();
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().cause, Cause::kNotDirectory);
}

TEST_F(ViewServerTest, RemovedRecordsAreAnErrorForReadersAndAreLogged) {
  Append(NgRecord("/file/1"));
  auto server = Mount();
  ASSERT_TRUE(server.ok()) << server.error().ToString();
  const int fd = ::open(ViewPath("binary_runtime_measurements").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_FALSE(ReadAll(fd).empty());
  live_.clear();
  Append(NgRecord("/file/2"));
  char byte = 0;
  for (int i = 0; i < 2; ++i) {
    EXPECT_LT(::read(fd, &byte, 1), 0);
    EXPECT_EQ(errno, EIO);
  }
  // What was shown stays readable.
  EXPECT_EQ(::pread(fd, &byte, 1, 0), 1);
  ::close(fd);
  server->reset();
  const std::vector<Error> reported = Reported();
  ASSERT_EQ(reported.size(), 1U);
  EXPECT_EQ(reported[0].cause, Cause::kListChanged);
}

TEST_F(ViewServerTest, AnErrorThatComesBackAfterItPassedIsLoggedAgain) {
  Append(NgRecord("/file/1"));
  auto server = Mount();
  ASSERT_TRUE(server.ok()) << server.error().ToString();
  const int fd = ::open(ViewPath("binary_runtime_measurements").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_FALSE(ReadAll(fd).empty());
  auto lock = fs_->OpenFile(root_ + "/lock", OpenMode::kLockFile);
  ASSERT_TRUE((*lock)->TryLock(LockMode::kExclusive).ok());
  const Bytes good = live_;
  for (int i = 0; i < 2; ++i) {
    live_.clear();  // as after a purge, whose segment needs the lock
    Append(NgRecord("/other"));
    char byte = 0;
    for (int j = 0; j < 2; ++j) {
      EXPECT_LT(::read(fd, &byte, 1), 0);
      EXPECT_EQ(errno, EIO);
    }
    live_ = good;
    Append(NgRecord("/file/2"));
    ReadAll(fd);
  }
  ::close(fd);
  server->reset();
  const std::vector<Error> reported = Reported();
  ASSERT_EQ(reported.size(), 2U);
  for (const Error& error : reported) {
    EXPECT_EQ(error.code, ErrorCode::kLocked);
  }
}

}  // namespace
}  // namespace imasnap
