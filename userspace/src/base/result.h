// SPDX-License-Identifier: GPL-2.0-or-later
//
// Result<T> and Error: how every function of the library reports failure. The
// library throws nothing of its own across its border and prints nothing.
#ifndef IMASNAP_BASE_RESULT_H_
#define IMASNAP_BASE_RESULT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/cause.h"

namespace imasnap {

// What a caller can do about an error; the program maps it to its exit status.
enum class ErrorCode {
  kFailed,       // An operation failed; errno_value says why, if it is known.
  kRefused,      // Cannot work until something is changed.
  kUsage,        // The caller asked for something that does not exist.
  kMalformed,    // Input does not follow its format.
  kMismatch,     // Well-formed input contradicts what it is checked against.
  kCannotCheck,  // A referee (TPM, PCR file, kernel log) is not available.
  kLocked,       // Another process holds the lock.
};

// An error, its cause and its place, as far as they are known. `record` and `line` count
// from 1 and `offset` from 0, all in the file (or, if `file` is the stitched log, in the
// whole log).
struct Error {
  ErrorCode code = ErrorCode::kFailed;
  Cause cause = Cause::kOther;
  std::string message;
  std::string file;
  std::optional<uint64_t> line;
  std::optional<uint64_t> record;
  std::optional<uint64_t> offset;
  std::optional<uint64_t> segment;
  std::string key;   // of a configuration
  std::string bank;  // of PCRs
  std::optional<uint32_t> pcr;
  int errno_value = 0;
  // What to ask a machine for: `ima-snapshot evidence --after-attempt N`.
  std::optional<uint64_t> needs_after_attempt;
  // The two values, if two differ.
  std::string expected;
  std::string found;

  // "<file>: record N (offset B): message", leaving out what is not known.
  std::string ToString() const;
};

Error MakeError(ErrorCode code, std::string message);
Error MakeError(ErrorCode code, Cause cause, std::string message);
Error FileError(ErrorCode code, std::string file, std::string message);
Error FileError(ErrorCode code, Cause cause, std::string file, std::string message);
// `what` failed on `file` with `errno_value`; the message ends in its text.
Error SystemError(std::string file, const std::string& what, int errno_value);

// Either a T or an Error. value() may only be called when ok().
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() { return *std::get_if<0>(&state_); }
  const T& value() const { return *std::get_if<0>(&state_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  Error& error() { return *std::get_if<1>(&state_); }
  const Error& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  Error& error() { return *error_; }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace imasnap

#define IMASNAP_CONCAT_INNER(a, b) a##b
#define IMASNAP_CONCAT(a, b) IMASNAP_CONCAT_INNER(a, b)

// Returns the error of `expr` from the enclosing function, if it has one.
#define IMASNAP_RETURN_IF_ERROR(expr)           \
  do {                                          \
    auto imasnap_status = (expr);               \
    if (!imasnap_status.ok()) {                 \
      return std::move(imasnap_status.error()); \
    }                                           \
  } while (false)

// Declares `decl` with the value of `expr`, or returns the error of `expr`.
// NOLINTBEGIN(bugprone-macro-parentheses): what is declared cannot have them
#define IMASNAP_ASSIGN(decl, expr) \
  IMASNAP_ASSIGN_INNER(IMASNAP_CONCAT(imasnap_result_, __LINE__), decl, expr)
#define IMASNAP_ASSIGN_INNER(tmp, decl, expr) \
  auto tmp = (expr);                          \
  if (!tmp.ok()) {                            \
    return std::move(tmp.error());            \
  }                                           \
  decl = std::move(tmp.value())
// NOLINTEND(bugprone-macro-parentheses)

#endif  // IMASNAP_BASE_RESULT_H_
