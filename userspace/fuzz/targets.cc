// SPDX-License-Identifier: GPL-2.0-or-later
#include "targets.h"

#include <array>
#include <string>

namespace imasnap::fuzz {

std::span<const NamedTarget> Targets() {
  static constexpr std::array kTargets = {
      NamedTarget{"log", Log},          NamedTarget{"aggregate", Aggregate},
      NamedTarget{"config", Config},    NamedTarget{"metadata", Metadata},
      NamedTarget{"pcr_text", PcrText}, NamedTarget{"quote", Quote},
      NamedTarget{"state", State},      NamedTarget{"evidence", Evidence},
  };
  return kTargets;
}

Status Require(bool holds, const char* property) {
  if (!holds) {
    return MakeError(ErrorCode::kFailed, std::string("it does not hold that ") + property);
  }
  return {};
}

}  // namespace imasnap::fuzz
