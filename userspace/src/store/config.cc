// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/config.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <sstream>
#include <system_error>

namespace imasnap {
namespace {

constexpr size_t kMaxSize = 1U << 20;

// At its end.
std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') {
    path.pop_back();
  }
  return path;
}

// One value of one file, and how it is refused.
class Value {
 public:
  Value(std::string file, std::string key, const toml::node& node)
      : file_(std::move(file)), key_(std::move(key)), node_(node) {}

  Error Fail(const std::string& message) const {
    const auto& where = node_.source().begin;
    return FileError(ErrorCode::kFailed, file_,
                     fmt::format("line {}: {}: {}", where.line, key_, message));
  }

  Status Path(std::string* out) const {
    const auto* text = node_.as_string();
    if (text == nullptr) {
      return Fail("must be a string");
    }
    const std::string& path = text->get();
    if (path.empty() || path[0] != '/' || path.find('\0') != std::string::npos) {
      return Fail("must be an absolute path");
    }
    *out = WithoutSlash(path);
    return {};
  }

  // A path as above, of a regular file or none yet.
  Status FilePath(FileSystem& fs, std::string* out) const {
    IMASNAP_RETURN_IF_ERROR(Path(out));
    const auto found = fs.Stat(*out);
    if (found.ok() && found->type != FileType::kRegular) {
      return Fail(fmt::format("{} is not a regular file", *out));
    }
    return {};  // other errors are reported when it is used
  }

  // A path as above, or nothing.
  Status PathOrNone(std::string* out) const {
    if (const auto* text = node_.as_string(); text != nullptr && text->get().empty()) {
      out->clear();
      return {};
    }
    return Path(out);
  }

  Status Bool(bool* out) const {
    const auto* value = node_.as_boolean();
    if (value == nullptr) {
      return Fail("must be true or false");
    }
    *out = value->get();
    return {};
  }

  // One of two words.
  template <typename T>
  Status Word(const char* first, T first_value, const char* second, T second_value, T* out) const {
    const auto* text = node_.as_string();
    if (text == nullptr || (text->get() != first && text->get() != second)) {
      return Fail(fmt::format("must be \"{}\" or \"{}\"", first, second));
    }
    *out = text->get() == first ? first_value : second_value;
    return {};
  }

  // An integer, or a string of an integer and one of the letters of `units`
  // ("K=1024 M=..." as pairs).
  struct Unit {
    char letter;
    uint64_t factor;
  };
  Result<uint64_t> Number(std::initializer_list<Unit> units, uint64_t min, uint64_t max) const {
    uint64_t value = 0;
    if (const auto* integer = node_.as_integer()) {
      if (integer->get() < 0) {
        return Range(min, max);
      }
      value = static_cast<uint64_t>(integer->get());
    } else if (const auto* text = node_.as_string(); text != nullptr && units.size() > 0) {
      std::string_view digits = text->get();
      uint64_t factor = 1;
      for (const Unit& unit : units) {
        if (!digits.empty() && digits.back() == unit.letter) {
          factor = unit.factor;
          digits.remove_suffix(1);
          break;
        }
      }
      const auto parsed = ParseDecimal(digits);
      if (!parsed) {
        return Fail(fmt::format("\"{}\" is not a number with {}", text->get(), Names(units)));
      }
      if (*parsed > std::numeric_limits<uint64_t>::max() / factor) {
        return Range(min, max);
      }
      value = *parsed * factor;
    } else {
      return Fail(units.size() > 0 ? "must be an integer, or a string with " + Names(units)
                                   : "must be an integer");
    }
    if (value < min || value > max) {
      return Range(min, max);
    }
    return value;
  }

 private:
  static std::string Names(std::initializer_list<Unit> units) {
    std::string names = "one of the units ";
    for (const Unit& unit : units) {
      names += unit.letter;
      names += ", ";
    }
    names.resize(names.size() - 2);
    return names;
  }

  Error Range(uint64_t min, uint64_t max) const {
    return Fail(fmt::format("out of range, {} to {} are possible", min, max));
  }

  const std::string file_;
  const std::string key_;
  const toml::node& node_;
};

constexpr std::initializer_list<Value::Unit> kBytes = {
    {'K', uint64_t{1} << 10}, {'M', uint64_t{1} << 20}, {'G', uint64_t{1} << 30}};
constexpr std::initializer_list<Value::Unit> kSeconds = {
    {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
constexpr uint64_t kMaxCount = uint64_t{1} << 40;
constexpr uint64_t kMaxBytes = uint64_t{1} << 50;
constexpr uint64_t kMaxSeconds = uint64_t{366} * 86400;
constexpr uint64_t kMaxCheckInterval = 3600;
constexpr uint64_t kMaxBoots = 10000;

std::optional<uint64_t> OffIfZero(uint64_t value) {
  return value == 0 ? std::nullopt : std::optional<uint64_t>(value);
}

Status Apply(FileSystem& fs, const Value& value, std::string_view key, Config* config) {
  if (key == "store") {
    return value.Path(&config->store);
  }
  if (key == "lock_file") {
    return value.FilePath(fs, &config->lock_file);
  }
  if (key == "mode") {
    return value.Word("purge", SnapshotMode::kPurge, "mark", SnapshotMode::kMark, &config->mode);
  }
  if (key == "max_records") {
    IMASNAP_ASSIGN(const uint64_t n, value.Number({}, 0, kMaxCount));
    config->max_records = OffIfZero(n);
    return {};
  }
  if (key == "max_bytes") {
    IMASNAP_ASSIGN(const uint64_t n, value.Number(kBytes, 0, kMaxBytes));
    config->max_bytes = OffIfZero(n);
    return {};
  }
  if (key == "max_age") {
    IMASNAP_ASSIGN(const uint64_t n, value.Number(kSeconds, 0, kMaxSeconds));
    config->max_age_seconds = OffIfZero(n);
    return {};
  }
  if (key == "check_interval") {
    IMASNAP_ASSIGN(config->check_interval_seconds, value.Number(kSeconds, 1, kMaxCheckInterval));
    return {};
  }
  if (key == "mount") {
    return value.PathOrNone(&config->mount);
  }
  if (key == "min_free_space") {
    IMASNAP_ASSIGN(config->min_free_space, value.Number(kBytes, 0, kMaxBytes));
    return {};
  }
  if (key == "keep_boots") {
    IMASNAP_ASSIGN(config->keep_boots, value.Number({}, 1, kMaxBoots));
    return {};
  }
  if (key == "discard") {
    return value.Word("never", Discard::kNever, "verified", Discard::kVerified, &config->discard);
  }
  if (key == "allow_volatile") {
    return value.Bool(&config->allow_volatile);
  }
  if (key == "allow_gap") {
    return value.Bool(&config->allow_gap);
  }
  return value.Fail("is not a key of this file");
}

Result<std::string> ReadTrusted(FileSystem& fs, const std::string& path, uint32_t owner) {
  // Checked on the open file, so that what was checked is what is read.
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, fs.OpenFile(path, OpenMode::kRead));
  IMASNAP_ASSIGN(const FileInfo info, file->Stat());
  if (info.type != FileType::kRegular) {
    return FileError(ErrorCode::kFailed, path, "is not a regular file");
  }
  if (info.owner != owner) {
    return FileError(ErrorCode::kFailed, path,
                     fmt::format("is owned by user {}, not by {}; run chown", info.owner,
                                 owner == 0 ? "root" : std::to_string(owner)));
  }
  if ((info.mode & 022) != 0) {
    return FileError(
        ErrorCode::kFailed, path,
        fmt::format("may be written by others (mode {:04o}); run chmod go-w", info.mode));
  }
  auto text = file->ReadRest(kMaxSize);
  if (!text.ok()) {
    text.error().code = ErrorCode::kFailed;
  }
  return text;
}

// Takes a string off the line's beginning; false where there is none that ends.
bool SkipString(std::string_view* line) {
  const char quote = line->empty() ? '\0' : line->front();
  if (quote != '"' && quote != '\'') {
    return false;
  }
  size_t end = 1;
  while (end < line->size() && (*line)[end] != quote) {
    end += quote == '"' && (*line)[end] == '\\' ? 2 : 1;
  }
  if (end >= line->size()) {
    return false;
  }
  line->remove_prefix(end + 1);
  return true;
}

// Whether a line is a key and its value, a comment or nothing.
bool IsPlain(std::string_view line) {
  constexpr std::string_view kBlank = " \t";
  constexpr std::string_view kWord =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.:";
  constexpr std::string_view kKey = kWord.substr(0, kWord.find('+'));
  const auto skip = [&line](std::string_view set) {
    const size_t length = std::min(line.find_first_not_of(set), line.size());
    line.remove_prefix(length);
    return length > 0;
  };
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  skip(kBlank);
  if (skip(kKey)) {
    skip(kBlank);
    if (!line.starts_with('=')) {
      return false;
    }
    line.remove_prefix(1);
    skip(kBlank);
    if (!SkipString(&line) && !skip(kWord)) {
      return false;
    }
    skip(kBlank);
  }
  return line.empty() || line.front() == '#';
}

// All that is needed here. The rest of TOML is refused before toml++ 3.3 sees it,
// whose behaviour is undefined for a character that is not ASCII where a word could
// end, as behind a line's end in a string, and for some broken tables (its issues
// 190, 294 and 295).
Status CheckPlain(std::string_view text, const std::string& path) {
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (!IsPlain(line)) {
      return FileError(ErrorCode::kFailed, path,
                       fmt::format("line {}: is not KEY = VALUE with a word, a number or a string "
                                   "on one line, nor a comment",
                                   number));
    }
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return {};
}

// "KEY: text needs quotes" where the line has a word without; else nothing.
std::string LacksQuotes(const std::string& text, size_t number) {
  std::istringstream lines(text);
  std::string line;
  while (number > 0 && std::getline(lines, line)) {
    --number;
  }
  std::ranges::replace(line, '=', ' ');
  std::string key;
  std::string word;
  std::istringstream(line) >> key >> word;
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (word.starts_with('"') || word.starts_with('\'') || word == "true" || word == "false" ||
      std::ranges::none_of(word, is_letter)) {
    return {};
  }
  return fmt::format("{}: text goes in quotes, \"{}\"", key, word);
}

Status ApplyFile(FileSystem& fs, const std::string& path, uint32_t owner, Config* config) {
  IMASNAP_ASSIGN(const std::string text, ReadTrusted(fs, path, owner));
  IMASNAP_RETURN_IF_ERROR(CheckPlain(text, path));
  toml::table table;
  try {  // the packaged toml++ reports errors only by exception
    table = toml::parse(text, path);
  } catch (const toml::parse_error& problem) {
    const size_t line = problem.source().begin.line;
    const std::string unquoted = LacksQuotes(text, line);
    return FileError(ErrorCode::kFailed, path,
                     fmt::format("line {}: {}", line,
                                 unquoted.empty() ? std::string(problem.description()) : unquoted));
  }
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    IMASNAP_RETURN_IF_ERROR(Apply(fs, Value(path, name, node), name, config));
  }
  return {};
}

}  // namespace

Result<std::string> StoreOption(const std::string& given) {
  std::error_code failed;
  std::string path = std::filesystem::absolute(given, failed).string();
  if (failed) {
    return MakeError(ErrorCode::kFailed, fmt::format("--store: {}", failed.message()));
  }
  return WithoutSlash(std::move(path));
}

Result<Config> LoadConfig(FileSystem& fs, const std::string& file, bool required, uint32_t owner) {
  Config config;
  IMASNAP_ASSIGN(const bool exists, fs.Exists(file));
  if (exists || required) {
    IMASNAP_RETURN_IF_ERROR(ApplyFile(fs, file, owner, &config));
  }
  const std::string directory = file + ".d";
  auto names = fs.List(directory);
  if (!names.ok()) {
    if (names.error().errno_value == ENOENT) {
      return config;
    }
    return std::move(names.error());
  }
  for (const std::string& name : *names) {
    if (name.ends_with(".conf") && name[0] != '.') {
      IMASNAP_RETURN_IF_ERROR(ApplyFile(fs, directory + "/" + name, owner, &config));
    }
  }
  return config;
}

}  // namespace imasnap
