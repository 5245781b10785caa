// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/text.h"

#include <fmt/format.h>

namespace imasnap {

std::string Counted(uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string SizeText(uint64_t bytes) {
  constexpr uint64_t kStep = 1000;
  if (bytes < kStep) {
    return Counted(bytes, "byte");
  }
  auto size = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* larger : {"kB", "MB", "GB", "TB", "PB", "EB"}) {
    size /= kStep;
    unit = larger;
    if (size < 999.95) {  // which is rounded to less than the next unit
      break;
    }
  }
  return fmt::format("{:.1f} {}", size, unit);
}

}  // namespace imasnap
