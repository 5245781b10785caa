// SPDX-License-Identifier: GPL-2.0-or-later
#include "swtpm.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

namespace imasnap::testing {
namespace {

constexpr std::chrono::seconds kStartLimit(60);
constexpr std::chrono::milliseconds kPoll(5);

// The child of a fork(); ends with its parent. A test before may have blocked
// signals.
[[noreturn]] void Exec(const std::vector<std::string>& command, const std::string& output) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd >= 0) {
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
  }
  std::vector<char*> args;
  for (const std::string& arg : command) {
    args.push_back(const_cast<char*>(arg.c_str()));
  }
  args.push_back(nullptr);
  ::execv(args[0], args.data());
  ::_exit(127);
}

bool Accepts(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const bool accepted =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(fd);
  return accepted;
}

}  // namespace

std::optional<std::string> FindProgram(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream directories(std::string(path != nullptr ? path : "") + ":/usr/sbin:/sbin");
  std::string directory;
  while (std::getline(directories, directory, ':')) {
    const std::string program = directory + "/" + name;
    if (::access(program.c_str(), X_OK) == 0) {
      return program;
    }
  }
  return std::nullopt;
}

ScratchDirectory::ScratchDirectory()
    : path_(std::filesystem::temp_directory_path() / "imasnap-XXXXXX") {
  if (::mkdtemp(path_.data()) == nullptr) {
    path_.clear();
  }
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  if (!path_.empty()) {
    std::filesystem::remove_all(path_, ignored);
  }
}

std::string Swtpm::Flags() const {
  // Stop() is a power failure. Otherwise swtpm since 0.8 saves the TPM's state, and
  // Start() is a TPM restart, which resetCount does not count (TPM 2.0 part 3, TPM2_Startup).
  const std::string features = Tool({"swtpm", "socket", "--print-capabilities"}).output;
  const bool saves = features.find("flags-opt-disable-auto-shutdown") != std::string::npos;
  return std::string("not-need-init,startup-clear") + (saves ? ",disable-auto-shutdown" : "");
}

bool Swtpm::Start() {
  const auto program = FindProgram("swtpm");
  if (!program || scratch_.path().empty()) {
    return false;
  }
  std::filesystem::create_directories(scratch_.path() + "/state");
  std::filesystem::remove(socket());
  const std::vector<std::string> command = {*program,
                                            "socket",
                                            "--tpm2",
                                            "--tpmstate",
                                            "dir=" + scratch_.path() + "/state",
                                            "--server",
                                            "type=unixio,path=" + socket(),
                                            "--ctrl",
                                            "type=unixio,path=" + socket() + ".ctrl",
                                            "--flags",
                                            Flags()};
  pid_ = ::fork();
  if (pid_ == 0) {
    Exec(command, scratch_.path() + "/swtpm.log");
  }
  const auto end = std::chrono::steady_clock::now() + kStartLimit;
  while (pid_ > 0 && std::chrono::steady_clock::now() < end) {
    if (Accepts(socket())) {
      return true;
    }
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      return false;
    }
    std::this_thread::sleep_for(kPoll);
  }
  return false;
}

void Swtpm::Stop() {
  if (pid_ <= 0) {
    return;
  }
  // swtpm 0.10.2 forgets a signal that comes just when a client leaves (mainloop.c).
  do {
    ::kill(pid_, SIGTERM);
    std::this_thread::sleep_for(kPoll);
  } while (::waitpid(pid_, nullptr, WNOHANG) == 0);
  pid_ = -1;
}

ToolResult Swtpm::Tool(const std::vector<std::string>& command) const {
  ToolResult result;
  const auto program = FindProgram(command[0]);
  if (!program) {
    result.output = command[0] + " is not installed";
    return result;
  }
  std::vector<std::string> full = command;
  full[0] = *program;
  const std::string output = scratch_.path() + "/tool.out";
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setenv("TPM2TOOLS_TCTI", tcti().c_str(), 1);
    if (::chdir(scratch_.path().c_str()) != 0) {
      ::_exit(126);
    }
    Exec(full, output);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.output = ReadFile("tool.out");
  return result;
}

void Swtpm::WriteFile(const std::string& name, ByteView bytes) const {
  std::ofstream(scratch_.path() + "/" + name, std::ios::binary) << AsText(bytes);
}

std::string Swtpm::ReadFile(const std::string& name) const {
  std::ifstream in(scratch_.path() + "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace imasnap::testing
