// SPDX-License-Identifier: GPL-2.0-or-later
//
// measure OUT ERR PROGRAM [ARG...]: runs a program with its output in two files
// and prints as JSON what it took. A program of its own because Linux counts the
// memory of whoever forks into the peak of what is then executed, and this one
// has little.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace {

int64_t Nanoseconds(const timeval& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + int64_t{time.tv_usec} * 1000;
}

int Fail(const char* what, int error) {
  static_cast<void>(std::fprintf(stderr, "measure: %s: %s\n", what, std::strerror(error)));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    static_cast<void>(std::fprintf(stderr, "usage: measure OUT ERR PROGRAM [ARG...]\n"));
    return 2;
  }
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, argv[1], kFlags, 0600);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, argv[2], kFlags, 0600);
  const auto begin = std::chrono::steady_clock::now();
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, argv[3], &files, nullptr, argv + 3, environ);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    return Fail(argv[3], error);
  }
  int status = 0;
  rusage usage{};
  if (wait4(pid, &status, 0, &usage) < 0) {
    return Fail("wait4", errno);
  }
  const std::chrono::nanoseconds wall = std::chrono::steady_clock::now() - begin;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  std::printf("{\"status\": %d, \"wall_ns\": %lld, \"cpu_ns\": %jd, \"peak_kib\": %ld}\n", code,
              static_cast<long long>(wall.count()),
              static_cast<intmax_t>(Nanoseconds(usage.ru_utime) + Nanoseconds(usage.ru_stime)),
              usage.ru_maxrss);
  return 0;
}
