// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/result.h"

#include <fmt/format.h>

#include <system_error>

namespace imasnap {

std::string Error::ToString() const {
  std::string text;
  if (!file.empty()) {
    text += file + ": ";
  }
  if (record && offset) {
    text += fmt::format("record {} (offset {}): ", *record, *offset);
  } else if (record) {
    text += fmt::format("record {}: ", *record);
  } else if (offset) {
    text += fmt::format("offset {}: ", *offset);
  }
  return text + message;
}

Error MakeError(ErrorCode code, Cause cause, std::string message) {
  Error error;
  error.code = code;
  error.cause = cause;
  error.message = std::move(message);
  return error;
}

Error MakeError(ErrorCode code, std::string message) {
  return MakeError(code, Cause::kOther, std::move(message));
}

Error FileError(ErrorCode code, Cause cause, std::string file, std::string message) {
  Error error = MakeError(code, cause, std::move(message));
  error.file = std::move(file);
  return error;
}

Error FileError(ErrorCode code, std::string file, std::string message) {
  return FileError(code, Cause::kOther, std::move(file), std::move(message));
}

Error SystemError(std::string file, const std::string& what, int errno_value) {
  Error error = FileError(ErrorCode::kFailed, std::move(file),
                          what + ": " + std::generic_category().message(errno_value));
  error.errno_value = errno_value;
  return error;
}

}  // namespace imasnap
