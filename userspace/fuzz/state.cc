// SPDX-License-Identifier: GPL-2.0-or-later
#include "targets.h"
#include "verify/checkpoint.h"

namespace imasnap::fuzz {

Status State(ByteView input) {
  const std::string_view text = AsText(input);
  const auto checkpoint = ParseCheckpoint(text, "input");
  if (!checkpoint.ok()) {
    return Require(checkpoint.error().file == "input", "an error names its file");
  }
  return Require(FormatCheckpoint(*checkpoint) == text,
                 "a checkpoint that is accepted is written back byte for byte");
}

}  // namespace imasnap::fuzz
