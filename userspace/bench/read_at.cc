// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads a file as fast as it can be read: from beginning to end, or at offsets
// that look random and are the same each time. Prints JSON.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace {

// A prime: its multiples are all over the file, the same each time.
constexpr uint64_t kStep = 1'000'000'007;

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("Read a file in pieces of SIZE bytes and print how long that took.");
  std::string file;
  size_t size = 0;
  uint64_t reads = 0;
  app.add_option("FILE", file)->required();
  app.add_option("--size", size, "Bytes a read")->required();
  app.add_option("--at-offsets", reads, "So many reads at offsets, not all in order");
  CLI11_PARSE(app, argc, argv);

  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  // SEEK_END tells the view's size as fstat(2) does.
  const off_t end = fd < 0 ? -1 : ::lseek(fd, 0, SEEK_END);
  if (end < 0 || (reads > 0 && static_cast<size_t>(end) <= size)) {
    static_cast<void>(std::fprintf(stderr, "read_at: %s: %s\n", file.c_str(),
                                   end < 0 ? std::strerror(errno) : "too short"));
    return 1;
  }
  std::vector<char> buffer(size);
  const uint64_t places = static_cast<uint64_t>(end) - size;
  uint64_t done = 0;
  uint64_t count = 0;
  const auto began = std::chrono::steady_clock::now();
  while (reads == 0 || count < reads) {
    const uint64_t at = reads == 0 ? done : count * kStep % places;
    const ssize_t got = ::pread(fd, buffer.data(), size, static_cast<off_t>(at));
    if (got < 0) {
      static_cast<void>(
          std::fprintf(stderr, "read_at: %s: %s\n", file.c_str(), std::strerror(errno)));
      return 1;
    }
    if (got == 0) {
      break;
    }
    done += static_cast<uint64_t>(got);
    ++count;
  }
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - began;
  std::printf("{\"bytes\": %ju, \"reads\": %ju, \"ns\": %ju}\n", static_cast<uintmax_t>(done),
              static_cast<uintmax_t>(count), static_cast<uintmax_t>(took.count()));
  return 0;
} catch (const std::exception& problem) {
  static_cast<void>(std::fprintf(stderr, "read_at: %s\n", problem.what()));
  return 1;
}
