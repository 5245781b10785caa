// SPDX-License-Identifier: GPL-2.0-or-later
//
// The least that any verifier of a log must hash: each record's template digest
// in SHA-1 (the header's) and in every bank, one extend of every bank, and the
// SHA-256 of the whole. Nothing is checked; reading and parsing are not timed.
// Prints nanoseconds as JSON.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "log/log_reader.h"
#include "log/replay.h"

namespace imasnap {
namespace {

using Clock = std::chrono::steady_clock;

void Hash(Hasher* hasher, ByteView bytes, std::byte* out) {
  hasher->Update(bytes);
  std::ranges::copy(hasher->Finish().view(), out);
}

template <typename Work>
int64_t Nanoseconds(const Work& work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
}

Status Run(const std::string& log, const std::vector<std::string>& banks) {
  const std::unique_ptr<FileSystem> fs = MakePosixFileSystem();
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, fs->OpenFile(log, OpenMode::kRead));
  LogReader reader(*file, {}, log);
  Bytes bytes;
  std::vector<size_t> ends = {0};
  std::vector<size_t> lengths;
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      break;
    }
    AppendBytes(record->raw, &bytes);
    ends.push_back(bytes.size());
    lengths.push_back(record->template_data.size());
  }
  const auto data = [&](size_t i) {
    return ByteView(bytes).subspan(ends[i + 1] - lengths[i], lengths[i]);
  };
  std::vector<HashAlg> algs = {HashAlg::kSha1};
  std::vector<HashAlg> extended;
  for (const std::string& name : banks) {
    const auto bank = BankFromName(name);
    if (!bank) {
      return MakeError(ErrorCode::kUsage, fmt::format("no bank is called {}", name));
    }
    extended.push_back(bank->alg);
    if (bank->alg != HashAlg::kSha1) {
      algs.push_back(bank->alg);
    }
  }
  std::array<std::byte, 2 * kMaxDigestSize> pcr_and_digest{};
  int64_t templates = 0;
  for (const HashAlg alg : algs) {
    Hasher hasher(alg);
    templates += Nanoseconds([&] {
      for (size_t i = 0; i < lengths.size(); ++i) {
        Hash(&hasher, data(i), pcr_and_digest.data());
      }
    });
  }
  int64_t extends = 0;
  for (const HashAlg alg : extended) {
    Hasher hasher(alg);
    extends += Nanoseconds([&] {
      for (size_t i = 0; i < lengths.size(); ++i) {
        Hash(&hasher, ByteView(pcr_and_digest).first(2 * DigestSize(alg)), pcr_and_digest.data());
      }
    });
  }
  Hasher hasher(HashAlg::kSha256);
  const int64_t whole = Nanoseconds([&] { Hash(&hasher, bytes, pcr_and_digest.data()); });
  fmt::print(
      "{{\"records\": {}, \"bytes\": {}, \"template_ns\": {}, \"extend_ns\": {}, "
      "\"segment_ns\": {}}}\n",
      lengths.size(), bytes.size(), templates, extends, whole);
  return {};
}

}  // namespace
}  // namespace imasnap

// NOLINTNEXTLINE(bugprone-exception-escape): a tool for developers may abort
int main(int argc, char** argv) {
  std::string log;
  std::vector<std::string> banks = {"sha256"};
  CLI::App app("Time the hashing alone that verifying a log takes.");
  app.add_option("LOG", log, "A list in the kernel's binary format")->required();
  app.add_option("--banks", banks, "PCR banks")->delimiter(',');
  CLI11_PARSE(app, argc, argv);
  const imasnap::Status status = imasnap::Run(log, banks);
  if (!status.ok()) {
    fmt::print(stderr, "hash_floor: {}\n", status.error().ToString());
    return 1;
  }
  return 0;
}
