// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/view_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "log/log_reader.h"
#include "log/record_format.h"
#include "log/replay.h"

namespace imasnap {
namespace {

constexpr std::string_view kAscii = "ascii_runtime_measurements";
constexpr std::string_view kBinary = "binary_runtime_measurements";
constexpr std::string_view kStaged = "_staged";

// Small files of the kernel, with the same modes: only root can read the policy.
struct Passed {
  const char* name;
  uint32_t mode;
};
constexpr Passed kPassed[] = {
    {"violations", 0440},
    {"policy", 0400},
    {"runtime_measurements_total", 0440},
    {"runtime_measurements_size", 0440},
    {"snapshot_attempts", 0440},
    {"snapshot_purges", 0440},
};

// Whether the kernel shows the padded SHA-1 digest for a hash that it lacks. Its own
// file shows this.
Result<bool> ShowsPaddedSha1(const Environment& env, const std::string& suffix, HashAlg alg) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, env.kernel().OpenLive(suffix));
  LogReader reader(*file, {.header_alg = alg}, file->path(), LogReader::Check::kFraming);
  Hasher sha1(HashAlg::kSha1);
  while (true) {
    IMASNAP_ASSIGN(const Record* const record, reader.Next());
    if (record == nullptr) {
      return false;
    }
    if (!record->IsViolation()) {
      const Digest digest = TemplateDigest(*record, &sha1);
      const ByteView shown = record->digest;
      return std::ranges::equal(digest.view(), shown.first(digest.size)) &&
             std::ranges::all_of(shown.subspan(digest.size),
                                 [](std::byte b) { return b == std::byte{0}; });
    }
  }
}

void AddLogs(const std::string& suffix, ViewFormat format, std::vector<ViewFile>* files) {
  for (const bool ascii : {true, false}) {
    format.ascii = ascii;
    files->push_back({fmt::format("{}{}", ascii ? kAscii : kBinary, suffix), ViewFile::Kind::kLog,
                      format, 0440});
  }
}

}  // namespace

Result<std::vector<ViewFile>> ListViewFiles(const Environment& env,
                                            const std::function<void(const Error&)>& report) {
  IMASNAP_ASSIGN(const std::vector<std::string> names, env.fs.List(env.securityfs + "/ima"));
  std::vector<ViewFile> files;
  AddLogs("", {}, &files);
  const size_t plain = files.size();
  const std::string prefix = fmt::format("{}_", kBinary);
  for (const std::string& name : names) {
    if (!name.starts_with(prefix) || name.ends_with(kStaged)) {
      continue;
    }
    const std::string suffix = name.substr(prefix.size());
    const auto bank = BankFromName(suffix);
    if (!bank) {
      report(FileError(ErrorCode::kFailed, Cause::kUnknownName, name,
                       "is left out: its hash is not known here"));
      continue;
    }
    ViewFormat format{.alg = bank->alg, .padded_sha1 = bank->padded_sha1};
    if (!format.padded_sha1 && format.alg != HashAlg::kSha1) {
      IMASNAP_ASSIGN(format.padded_sha1, ShowsPaddedSha1(env, "_" + suffix, format.alg));
    }
    AddLogs("_" + suffix, format, &files);
  }
  if (files.size() == plain) {
    for (const HashAlg alg : {HashAlg::kSha1, HashAlg::kSha256}) {
      AddLogs(fmt::format("_{}", HashName(alg)), {.alg = alg}, &files);
    }
  }
  files.push_back({"runtime_measurements_count", ViewFile::Kind::kCount, {}, 0440});
  for (const Passed& passed : kPassed) {
    if (std::ranges::find(names, passed.name) != names.end()) {
      files.push_back({passed.name, ViewFile::Kind::kKernel, {}, passed.mode});
    }
  }
  return files;
}

}  // namespace imasnap
