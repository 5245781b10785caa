// SPDX-License-Identifier: GPL-2.0-or-later
//
// ima-snapshotd as a process: the real loop and signals, and a socket where
// systemd's would be, on a fake machine.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <sstream>

#include "daemon/app.h"
#include "daemon/journal.h"
#include "world.h"

namespace imasnap {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using testing::World;

struct Ran {
  int status;
  std::string out;
  std::string err;
  int reset_counts_read = 0;  // of the TPM: two commands each
};

Ran RunWith(World* world, const std::vector<std::string>& args) {
  std::ostringstream out;
  std::ostringstream err;
  const Environment env = world->Env();
  int reset_counts_read = 0;
  const daemon::Host host{
      .fs = world->fs,
      .out = out,
      .err = err,
      .now = env.now,
      .kernel_release = env.kernel_release,
      .identity = env.identity,
      .reset_count =
          [&](const std::string&) {
            ++reset_counts_read;
            return world->reset_count;
          },
      .mount = {},
  };
  const int status = daemon::RunDaemon(args, host);
  return {status, out.str(), err.str(), reset_counts_read};
}

TEST(DaemonAppTest, CheckConfigSaysNothingWhenItIsRight) {
  World world;
  world.fs.Write(kDefaultConfigFile, "max_records = 5\n");
  const Ran ran = RunWith(&world, {"--check-config"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "");
}

TEST(DaemonAppTest, ConfigurationThatIsNotRightIsRefusedWithItsPlace) {
  World world;
  world.fs.Write(kDefaultConfigFile, "\nmax_record = 5\n");
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"--check-config"}, std::vector<std::string>{}}) {
    const Ran ran = RunWith(&world, args);
    EXPECT_EQ(ran.status, args.empty() ? 78 : 1);
    EXPECT_EQ(ran.out, "");
    EXPECT_TRUE(ran.err.starts_with("ima-snapshotd: /etc/ima-snapshot.conf: line 2: max_record: "))
        << ran.err;
  }
  EXPECT_EQ(world.fs.Find(testing::kStore), nullptr);
}

TEST(DaemonAppTest, ConfigurationThatWasNamedMustBeThere) {
  World world;
  EXPECT_EQ(RunWith(&world, {"--check-config"}).status, 0);
  const Ran ran = RunWith(&world, {"--check-config", "--config", "/etc/other.conf"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_TRUE(ran.err.starts_with("ima-snapshotd: /etc/other.conf: ")) << ran.err;
}

// systemd starts it again after any other status.
TEST(DaemonAppTest, RefusedStoreEndsWithAStatusOfItsOwnAndAMessage) {
  World world;
  world.fs.magic = kTmpfsMagic;
  const Ran ran = RunWith(&world, {"--store", "/srv/ima"});
  EXPECT_EQ(ran.status, 78);
  EXPECT_THAT(ran.err, AllOf(StartsWith("ima-snapshotd: /srv/ima: "), HasSubstr("allow_volatile")));
  EXPECT_EQ(world.kernel.attempts(), 0U);
}

TEST(DaemonAppTest, KernelWithoutAWayToTakeSnapshotsEndsWithTheSameStatus) {
  World world;
  world.kernel.has_snapshot_file = false;
  const Ran ran = RunWith(&world, {});
  EXPECT_EQ(ran.status, 78);
  EXPECT_THAT(ran.err, Not(IsEmpty()));
}

TEST(DaemonAppTest, StoreOfTheCommandLineIsNotEmpty) {
  World world;
  EXPECT_EQ(RunWith(&world, {"--check-config", "--store", ""}).status, 2);
}

TEST(DaemonAppTest, UsageHelpAndVersion) {
  World world;
  EXPECT_EQ(RunWith(&world, {"--what"}).status, 2);
  EXPECT_EQ(RunWith(&world, {"take"}).status, 2);
  const Ran empty = RunWith(&world, {"--config", ""});
  EXPECT_EQ(empty.status, 2);
  EXPECT_THAT(empty.err, Not(IsEmpty()));
  const Ran help = RunWith(&world, {"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("Examples:"), HasSubstr("--check-config")));
  EXPECT_THAT(RunWith(&world, {"--version"}).out, StartsWith("ima-snapshotd "));
}

// The daemon in a child process, and what it sends to NOTIFY_SOCKET.
class Child {
 public:
  Child(World* world, std::vector<std::string> args, std::function<void()> prepare = {}) {
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address {};
    address.sun_family = AF_UNIX;
    const std::string name = "ima-snapshotd-test-" + std::to_string(::getpid());
    name.copy(address.sun_path + 1, name.size());
    const auto size =
        static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + 1 + name.size());
    EXPECT_EQ(::bind(socket_, reinterpret_cast<struct sockaddr*>(&address), size), 0);
    EXPECT_EQ(::pipe2(ended_.data(), O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
      if (prepare) {
        prepare();
      }
      const Ran ran = RunWith(world, args);
      const bool well = ran.status == 0 && world->IsWhole() && world->kernel.in_memory() == 1 &&
                        ran.reset_counts_read <= 1;
      if (!well) {
        std::cerr << ran.err << world->IsWhole().message() << "; reset count read "
                  << ran.reset_counts_read << " times\n";
      }
      ::_exit(well ? 0 : 1);
    }
    ::close(ended_[1]);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(ended_[0]);
    ::close(socket_);
  }

  void Signal(int number) { EXPECT_EQ(::kill(pid_, number), 0); }

  // The messages it sends, up to one that begins with `last`; fewer if it exits
  // earlier.
  std::vector<std::string> Until(const std::string& last) {
    std::vector<std::string> told;
    while (told.empty() || !told.back().starts_with(last)) {
      std::array<struct pollfd, 2> ready{{{socket_, POLLIN, 0}, {ended_[0], POLLIN, 0}}};
      EXPECT_GT(::poll(ready.data(), ready.size(), -1), 0);
      if ((ready[0].revents & POLLIN) == 0) {
        ADD_FAILURE() << "ended before it told " << last;
        break;
      }
      std::array<char, 4096> buffer;
      const ssize_t n = ::recv(socket_, buffer.data(), buffer.size(), 0);
      EXPECT_GE(n, 0);
      told.emplace_back(buffer.data(), static_cast<size_t>(std::max<ssize_t>(n, 0)));
    }
    return told;
  }

  int ExitStatus() {
    std::array<char, 1> nothing;
    EXPECT_EQ(::read(ended_[0], nothing.data(), 1), 0);  // until it is gone
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT), 0);
    return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  }

 private:
  int socket_ = -1;
  std::array<int, 2> ended_{};
  pid_t pid_ = -1;
};

constexpr const char* kConfig = "max_records = 10\ncheck_interval = 3600\n";

TEST(DaemonProcessTest, ReportsToSystemdAndExitsWithZeroOnEitherSignal) {
  for (const int signal : {SIGTERM, SIGINT}) {
    World world;
    world.fs.Write(kDefaultConfigFile, kConfig);
    world.kernel.MeasureFiles(20);
    Child child(&world, {});
    EXPECT_EQ(
        child.Until("STATUS=1 record in memory"),
        (std::vector<std::string>{"READY=1", "STATUS=taking a snapshot of 21 records (max_records)",
                                  "STATUS=1 record in memory; last snapshot: segment 00000001 of "
                                  "2026-01-02T03:04:05Z; next at 10 records or 4.2 MB"}));
    child.Signal(SIGHUP);
    const std::vector<std::string> reload = child.Until("READY=1");
    EXPECT_TRUE(reload.front().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    child.Signal(signal);
    EXPECT_EQ(child.Until("STOPPING=1").back(), "STOPPING=1");
    EXPECT_EQ(child.ExitStatus(), 0);
  }
}

TEST(DaemonProcessTest, SignalBeforeTheLoopRunsIsSeenThere) {
  World world;
  Child child(&world, {}, [] {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    ::raise(SIGTERM);
  });
  child.Until("STOPPING=1");
  EXPECT_EQ(child.ExitStatus(), 0);
}

TEST(DaemonProcessTest, FeedsTheWatchdogAgainAndAgainWhileIdle) {
  World world;
  Child child(&world, {}, [] { ::setenv("WATCHDOG_USEC", "20000", 1); });
  for (int i = 0; i < 3; ++i) {
    child.Until("WATCHDOG=1");
  }
  child.Signal(SIGTERM);
  child.Until("STOPPING=1");
  EXPECT_EQ(child.ExitStatus(), 0);
}

TEST(DaemonJournalTest, JournalIsKnownByItsDeviceAndInode) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  struct stat st {};
  ASSERT_EQ(::fstat(pipe[1], &st), 0);
  const std::string stream = std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino);
  EXPECT_TRUE(daemon::IsJournal(pipe[1], stream.c_str()));
  EXPECT_FALSE(daemon::IsJournal(pipe[1], (stream + "1").c_str()));
  EXPECT_FALSE(daemon::IsJournal(pipe[1], nullptr));
  EXPECT_FALSE(daemon::IsJournal(-1, stream.c_str()));
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST(DaemonJournalTest, LinesHaveTheProgramsNameAndDebuggingOnlyWhenAsked) {
  for (const bool verbose : {false, true}) {
    std::ostringstream out;
    daemon::StreamJournal journal(out, verbose);
    journal.Write(3, "error", {{"IMA_SEGMENT", "1"}});
    journal.Write(7, "debugging", {});
    EXPECT_EQ(out.str(), verbose ? "ima-snapshotd: error\nima-snapshotd: debugging\n"
                                 : "ima-snapshotd: error\n");
  }
}

}  // namespace
}  // namespace imasnap
