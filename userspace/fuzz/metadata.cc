// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/metadata.h"

#include "targets.h"

namespace imasnap::fuzz {
namespace {

template <typename T>
Status ParsesAgain(std::string_view text, Result<T> (*parse)(std::string_view, const std::string&),
                   std::string (*format)(const T&)) {
  const auto first = parse(text, "input");
  if (!first.ok()) {
    return Require(first.error().file == "input", "an error names its file");
  }
  const std::string written = format(*first);
  const auto second = parse(written, "written");
  return Require(second.ok() && *second == *first && format(*second) == written,
                 "what was read is read again after it was written");
}

}  // namespace

Status Metadata(ByteView input) {
  IMASNAP_RETURN_IF_ERROR(ParsesAgain(AsText(input), ParseSession, FormatSession));
  return ParsesAgain(AsText(input), ParseSegment, FormatSegment);
}

}  // namespace imasnap::fuzz
