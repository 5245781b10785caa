// SPDX-License-Identifier: GPL-2.0-or-later
//
// The real file system, in a temporary directory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/file_system.h"
#include "store/environment.h"
#include "store/store.h"

namespace imasnap {
namespace {

class PosixTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "imasnap-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::unique_ptr<FileSystem> fs_ = MakePosixFileSystem();
  std::string dir_;
};

TEST_F(PosixTest, WritesDurablyAndReplaces) {
  const std::string path = dir_ + "/a/b/file";
  ASSERT_TRUE(fs_->MakeDirectories(dir_ + "/a/b").ok());
  ASSERT_TRUE(fs_->WriteDurably(path, "one").ok());
  ASSERT_TRUE(fs_->WriteDurably(path, "two").ok());
  EXPECT_EQ(fs_->ReadFile(path).value(), "two");
  EXPECT_EQ(fs_->List(dir_ + "/a/b").value(), std::vector<std::string>{"file"});
  const FileInfo info = fs_->Stat(path).value();
  EXPECT_EQ(info.type, FileType::kRegular);
  EXPECT_EQ(info.size, 3U);
  EXPECT_EQ(info.owner, ::geteuid());
  EXPECT_EQ(info.mode & 037, 0U) << "segments are nobody else's to read";
}

TEST_F(PosixTest, SetGroupIdOfADirectoryIsHandedDown) {
  ASSERT_EQ(::chmod(dir_.c_str(), 02750), 0);
  ASSERT_TRUE(fs_->MakeDirectories(dir_ + "/boots/00000001").ok());
  EXPECT_EQ(fs_->Stat(dir_ + "/boots").value().mode, 02750U);
  EXPECT_EQ(fs_->Stat(dir_ + "/boots/00000001").value().mode, 02750U);
  const auto lock = fs_->Open(dir_ + "/lock", OpenMode::kLockFile);
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ((*lock)->Stat().value().mode & 0137U, 0U) << "whoever opens it can hold it";
}

TEST_F(PosixTest, CreateDoesNotFollowOrOverwrite) {
  ASSERT_TRUE(fs_->WriteDurably(dir_ + "/victim", "good").ok());
  ASSERT_TRUE(fs_->Symlink("victim", dir_ + "/link").ok());
  EXPECT_EQ(fs_->Open(dir_ + "/link", OpenMode::kCreate).error().errno_value, EEXIST);
  EXPECT_EQ(fs_->Open(dir_ + "/victim", OpenMode::kCreate).error().errno_value, EEXIST);
  EXPECT_EQ(fs_->ReadLink(dir_ + "/link").value(), "victim");
  EXPECT_EQ(fs_->ReadFile(dir_ + "/victim").value(), "good");
}

TEST_F(PosixTest, ErrorsNameTheFileAndTheErrno) {
  const auto missing = fs_->Open(dir_ + "/none", OpenMode::kRead);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().errno_value, ENOENT);
  EXPECT_EQ(missing.error().file, dir_ + "/none");
  EXPECT_FALSE(fs_->Exists(dir_ + "/none").value());
  EXPECT_EQ(fs_->RemoveDirectory(dir_ + "/none").error().errno_value, ENOENT);
}

TEST_F(PosixTest, TemporaryFileIsReadBack) {
  auto file = fs_->OpenTemporary();
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->WriteAll(AsBytes("hello")).ok());
  ASSERT_TRUE((*file)->Seek(1).ok());
  std::array<std::byte, 8> buffer;
  ASSERT_EQ((*file)->Read(buffer).value(), 4U);
  EXPECT_EQ(AsText(ByteView(buffer).first(4)), "ello");
}

TEST_F(PosixTest, MappedBytesOfAFileThatWasCutAreAnErrorOfTheSystemCallThatTakesThem) {
  const std::string path = dir_ + "/file";
  const std::string text(12'000, 'x');
  ASSERT_TRUE(fs_->WriteDurably(path, text).ok());
  auto file = fs_->Open(path, OpenMode::kRead);
  ASSERT_TRUE(file.ok());
  const auto mapped = (*file)->Map(text.size());
  ASSERT_TRUE(mapped.ok()) << mapped.error().ToString();
  EXPECT_EQ(AsText(*mapped), text);
  EXPECT_EQ((*file)->Map(100).value().size(), 100U);
  EXPECT_EQ((*file)->Map(text.size() + 1).error().errno_value, EINVAL) << "mapped once";
  std::filesystem::resize_file(path, 100);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(::write(ends[1], mapped->data() + 8192, 100), -1);
  EXPECT_EQ(errno, EFAULT);
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_FALSE((*fs_->Open("/proc/self/status", OpenMode::kRead))->Map(1).ok());
}

TEST_F(PosixTest, LockFileThatIsAFifoOrALinkIsRefusedAndHoldsNothingUp) {
  Environment env{.fs = *fs_, .securityfs = "/none", .owner = ::geteuid()};
  env.config.lock_file = dir_ + "/fifo";
  ASSERT_EQ(::mkfifo(env.config.lock_file.c_str(), 0640), 0);
  auto lock = AcquireLock(env, LockMode::kShared);
  ASSERT_FALSE(lock.ok());
  EXPECT_EQ(lock.error().cause, Cause::kNotRegularFile);
  ASSERT_TRUE(fs_->WriteDurably(dir_ + "/other", "").ok());
  env.config.lock_file = dir_ + "/link";
  ASSERT_TRUE(fs_->Symlink("other", env.config.lock_file).ok());
  lock = AcquireLock(env, LockMode::kShared);
  ASSERT_FALSE(lock.ok());
  EXPECT_EQ(lock.error().errno_value, ELOOP);
}

TEST_F(PosixTest, SegmentThatIsNotARegularFileIsRefusedAndDoesNotBlock) {
  for (const char* name : {"/00000001.ima", "/00000001.json", "/session.json"}) {
    ASSERT_EQ(::mkfifo((dir_ + name).c_str(), 0640), 0);
    const auto session = LoadSession(*fs_, dir_);
    ASSERT_FALSE(session.ok());
    EXPECT_EQ(session.error().code, ErrorCode::kMismatch);
    EXPECT_EQ(session.error().cause, Cause::kNotRegularFile);
    EXPECT_EQ(session.error().file, dir_ + name);
    ASSERT_TRUE(fs_->Unlink(dir_ + name).ok());
  }
}

// Another process holds the lock with plain flock(2), as any client of the
// protocol would.
TEST_F(PosixTest, LockHeldByAnotherProcessIsKLockedUntilItDies) {
  Environment env{.fs = *fs_, .securityfs = "/none", .owner = ::geteuid()};
  env.config.lock_file = dir_ + "/sub/lock";
  ASSERT_TRUE(AcquireLock(env, LockMode::kExclusive).ok());  // makes it; let go at once
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const int fd = ::open(env.config.lock_file.c_str(), O_RDONLY);
    const char answer = ::flock(fd, LOCK_SH) == 0 ? 'y' : 'n';
    const ssize_t wrote = ::write(ready[1], &answer, 1);
    if (wrote == 1) {
      ::pause();
    }
    ::_exit(1);
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  const auto exclusive = AcquireLock(env, LockMode::kExclusive);
  ASSERT_FALSE(exclusive.ok());
  EXPECT_EQ(exclusive.error().code, ErrorCode::kLocked);
  EXPECT_TRUE(AcquireLock(env, LockMode::kShared).ok());
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(AcquireLock(env, LockMode::kExclusive).ok());
  ::close(ready[0]);
  ::close(ready[1]);
}

// A user who may write to the directory could let any file be created or opened.
TEST_F(PosixTest, FilesThatAreMadeOrLockedFollowNoLink) {
  const std::string link = dir_ + "/link";
  for (const char* target : {"/there", "/not"}) {
    ASSERT_TRUE(fs_->WriteDurably(dir_ + "/there", "text").ok());
    ASSERT_TRUE(fs_->Symlink(dir_ + target, link).ok());
    for (const OpenMode mode : {OpenMode::kCreate, OpenMode::kCreatePrivate, OpenMode::kLockFile,
                                OpenMode::kExistingLock}) {
      EXPECT_FALSE(fs_->OpenFile(link, mode).ok());
    }
    EXPECT_FALSE(fs_->Exists(dir_ + "/not").value());
    EXPECT_EQ(fs_->ReadFile(dir_ + "/there").value(), "text");
    ASSERT_TRUE(fs_->Unlink(link).ok());
  }
}

TEST_F(PosixTest, FilesThatAreMadeAreNewAndHaveTheirModes) {
  const mode_t old = ::umask(0);
  const std::vector<std::pair<OpenMode, uint32_t>> modes = {
      {OpenMode::kCreate, 0640}, {OpenMode::kCreatePrivate, 0600}, {OpenMode::kLockFile, 0640}};
  for (const auto& [mode, permissions] : modes) {
    const std::string path = dir_ + "/file";
    EXPECT_TRUE(fs_->OpenFile(path, mode).ok());
    EXPECT_EQ(fs_->Stat(path)->mode, permissions);
    EXPECT_EQ(fs_->OpenFile(path, mode).ok(), mode == OpenMode::kLockFile);
    ASSERT_TRUE(fs_->Unlink(path).ok());
  }
  ASSERT_TRUE(fs_->MakeDirectory(dir_ + "/directory").ok());
  EXPECT_EQ(fs_->Stat(dir_ + "/directory")->mode, 0750U);
  ::umask(old);
}

}  // namespace
}  // namespace imasnap
