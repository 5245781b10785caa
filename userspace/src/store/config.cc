// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/config.h"

#include <fmt/format.h>

// With its assertions, toml++ 3.3 ends the program over "[&" and its like; without
// them it reports the error (its issue 294).
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

namespace imasnap {
namespace {

constexpr size_t kMaxSize = 1U << 20;

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') {
    path.pop_back();
  }
  return path;
}

// One value of one file: what toml++ does not check of it, and how it is refused.
class Value {
 public:
  struct Unit {
    char letter;
    uint64_t factor;
  };
  using Units = std::initializer_list<Unit>;

  Value(FileSystem& fs, const std::string& file, std::string key, const toml::node& node)
      : fs_(fs), file_(file), key_(std::move(key)), node_(node) {}

  Error Fail(Cause cause, const std::string& message) const {
    const auto line = node_.source().begin.line;
    Error error = FileError(ErrorCode::kFailed, cause, file_,
                            fmt::format("line {}: {}: {}", line, key_, message));
    error.line = line;
    error.key = key_;
    return error;
  }

  Status Path(std::string* out) const {
    const auto path = node_.value_exact<std::string>();
    if (!path) {
      return Fail(Cause::kWrongType, "must be a string");
    }
    if (!path->starts_with('/') || path->find('\0') != std::string::npos) {
      return Fail(Cause::kSyntax, "must be an absolute path");
    }
    *out = WithoutSlash(*path);
    return {};
  }

  // A path as above, of a regular file or of nothing yet.
  Status FilePath(std::string* out) const {
    IMASNAP_RETURN_IF_ERROR(Path(out));
    const auto found = fs_.Stat(*out);
    if (found.ok() && found->type != FileType::kRegular) {
      return Fail(Cause::kNotRegularFile, fmt::format("{} is not a regular file", *out));
    }
    return {};  // other errors are reported when it is used
  }

  // A path as above, or an empty string.
  Status PathOrNone(std::string* out) const {
    if (node_.value_exact<std::string>() == "") {
      out->clear();
      return {};
    }
    return Path(out);
  }

  Status Bool(bool* out) const {
    const auto value = node_.value_exact<bool>();
    if (!value) {
      return Fail(Cause::kWrongType, "must be true or false");
    }
    *out = *value;
    return {};
  }

  // One of two words.
  template <typename T>
  Status Word(const char* first, T first_value, const char* second, T second_value, T* out) const {
    const auto text = node_.value_exact<std::string>();
    if (text != first && text != second) {
      return Fail(Cause::kUnknownName, fmt::format("must be \"{}\" or \"{}\"", first, second));
    }
    *out = text == first ? first_value : second_value;
    return {};
  }

  // An integer, or a string of an integer and one of `units`.
  Status Number(Units units, uint64_t min, uint64_t max, uint64_t* out) const {
    std::optional<uint64_t> value;  // nothing: too large or negative
    if (const auto integer = node_.value_exact<int64_t>()) {
      value = *integer < 0 ? std::nullopt : std::optional<uint64_t>(*integer);
    } else if (const auto text = node_.value_exact<std::string>(); text && units.size() > 0) {
      std::string_view digits = *text;
      uint64_t factor = 1;
      for (const Unit& unit : units) {
        if (digits.ends_with(unit.letter)) {
          factor = unit.factor;
          digits.remove_suffix(1);
          break;
        }
      }
      const auto number = ParseDecimal(digits);
      if (!number) {
        return Fail(Cause::kNotDecimal,
                    fmt::format("\"{}\" is not a number with {}", *text, Names(units)));
      }
      value = *number <= max / factor ? std::optional(*number * factor) : std::nullopt;
    } else {
      return Fail(Cause::kWrongType, units.size() > 0
                                         ? "must be an integer, or a string with " + Names(units)
                                         : "must be an integer");
    }
    if (!value || *value < min || *value > max) {
      return Fail(Cause::kOutOfRange,
                  fmt::format("is out of range: it must be {} to {}", min, max));
    }
    *out = *value;
    return {};
  }

  // A number that is off if it is 0.
  Status Limit(Units units, uint64_t max, std::optional<uint64_t>* out) const {
    uint64_t value = 0;
    IMASNAP_RETURN_IF_ERROR(Number(units, 0, max, &value));
    *out = value == 0 ? std::nullopt : std::optional(value);
    return {};
  }

 private:
  static std::string Names(Units units) {
    std::string names = "one of the units ";
    for (const Unit& unit : units) {
      names += unit.letter;
      names += ", ";
    }
    names.resize(names.size() - 2);
    return names;
  }

  FileSystem& fs_;
  const std::string& file_;
  const std::string key_;
  const toml::node& node_;
};

constexpr Value::Units kNoUnits = {};
constexpr Value::Units kBytes = {
    {'K', uint64_t{1} << 10}, {'M', uint64_t{1} << 20}, {'G', uint64_t{1} << 30}};
constexpr Value::Units kSeconds = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
constexpr uint64_t kMaxCount = uint64_t{1} << 40;
constexpr uint64_t kMaxBytes = uint64_t{1} << 50;
constexpr uint64_t kMaxSeconds = uint64_t{366} * 86400;
constexpr uint64_t kMaxCheckInterval = 3600;
constexpr uint64_t kMaxBoots = 10000;

struct Key {
  std::string_view name;
  Status (*set)(const Value& value, Config* config);
};

constexpr Key kKeys[] = {
    {"store", [](const Value& v, Config* c) { return v.Path(&c->store); }},
    {"lock_file", [](const Value& v, Config* c) { return v.FilePath(&c->lock_file); }},
    {"mode",
     [](const Value& v, Config* c) {
       return v.Word("purge", SnapshotMode::kPurge, "mark", SnapshotMode::kMark, &c->mode);
     }},
    {"max_records",
     [](const Value& v, Config* c) { return v.Limit(kNoUnits, kMaxCount, &c->max_records); }},
    {"max_bytes",
     [](const Value& v, Config* c) { return v.Limit(kBytes, kMaxBytes, &c->max_bytes); }},
    {"max_age",
     [](const Value& v, Config* c) { return v.Limit(kSeconds, kMaxSeconds, &c->max_age_seconds); }},
    {"check_interval",
     [](const Value& v, Config* c) {
       return v.Number(kSeconds, 1, kMaxCheckInterval, &c->check_interval_seconds);
     }},
    {"mount", [](const Value& v, Config* c) { return v.PathOrNone(&c->mount); }},
    {"min_free_space",
     [](const Value& v, Config* c) { return v.Number(kBytes, 0, kMaxBytes, &c->min_free_space); }},
    {"keep_boots",
     [](const Value& v, Config* c) { return v.Number(kNoUnits, 1, kMaxBoots, &c->keep_boots); }},
    {"discard",
     [](const Value& v, Config* c) {
       return v.Word("never", Discard::kNever, "verified", Discard::kVerified, &c->discard);
     }},
    {"final_snapshot", [](const Value& v, Config* c) { return v.Bool(&c->final_snapshot); }},
    {"allow_volatile", [](const Value& v, Config* c) { return v.Bool(&c->allow_volatile); }},
    {"allow_gap", [](const Value& v, Config* c) { return v.Bool(&c->allow_gap); }},
};

Result<std::string> ReadTrusted(FileSystem& fs, const std::string& path, uint32_t owner) {
  // Checked on the open file, so that what was checked is what is read.
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, fs.OpenFile(path, OpenMode::kRead));
  IMASNAP_ASSIGN(const FileInfo info, file->Stat());
  if (info.type != FileType::kRegular) {
    return FileError(ErrorCode::kFailed, Cause::kNotRegularFile, path, "is not a regular file");
  }
  if (info.owner != owner) {
    return FileError(ErrorCode::kFailed, Cause::kWrongOwner, path,
                     fmt::format("is owned by user {}, not by {}; run chown", info.owner,
                                 owner == 0 ? "root" : std::to_string(owner)));
  }
  if ((info.mode & 022) != 0) {
    return FileError(
        ErrorCode::kFailed, Cause::kWrongMode, path,
        fmt::format("can be written by others (mode {:04o}); run chmod go-w", info.mode));
  }
  auto text = file->ReadRest(kMaxSize);
  if (!text.ok()) {
    text.error().code = ErrorCode::kFailed;
  }
  return text;
}

// The key and the word if the line has a word without quotes; else nothing.
std::optional<std::pair<std::string, std::string>> LacksQuotes(const std::string& text,
                                                               size_t number) {
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
    return std::nullopt;
  }
  return std::pair(key, word);
}

Status ApplyFile(FileSystem& fs, const std::string& path, uint32_t owner, Config* config) {
  IMASNAP_ASSIGN(const std::string text, ReadTrusted(fs, path, owner));
  toml::table table;
  try {  // the packaged toml++ reports errors only by exception
    table = toml::parse(text, path);
  } catch (const toml::parse_error& problem) {
    const size_t line = problem.source().begin.line;
    Error error = FileError(ErrorCode::kFailed, Cause::kSyntax, path,
                            fmt::format("line {}: {}", line, problem.description()));
    error.line = line;
    if (const auto unquoted = LacksQuotes(text, line)) {
      const auto& [key, word] = *unquoted;
      error.cause = Cause::kNotQuoted;
      error.key = key;
      error.message = fmt::format("line {}: {}: text needs quotes, \"{}\"", line, key, word);
    }
    return error;
  }
  for (const auto& [key, node] : table) {
    const Value value(fs, path, std::string(key.str()), node);
    const auto* known = std::ranges::find(kKeys, key.str(), &Key::name);
    if (known == std::end(kKeys)) {
      return value.Fail(Cause::kUnknownName, "is not a key of this file");
    }
    IMASNAP_RETURN_IF_ERROR(known->set(value, config));
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
