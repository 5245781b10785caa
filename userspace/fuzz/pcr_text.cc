// SPDX-License-Identifier: GPL-2.0-or-later
#include "targets.h"
#include "tpm/pcr_values.h"

namespace imasnap::fuzz {
namespace {

// As tpm2_pcrread prints them.
std::string Format(const PcrValues& values) {
  std::string text;
  for (const auto& [bank, pcrs] : values) {
    text += bank + ":\n";
    for (const auto& [pcr, value] : pcrs) {
      text += "  " + std::to_string(pcr) + ": 0x" + ToHexUpper(value.view()) + "\n";
    }
  }
  return text;
}

}  // namespace

Status PcrText(ByteView input) {
  const auto values = ParsePcrText(AsText(input), "input");
  if (!values.ok()) {
    return Require(values.error().file == "input", "an error names its file");
  }
  const auto again = ParsePcrText(Format(*values), "written");
  return Require(again.ok() && *again == *values,
                 "what was read is read again after it was written");
}

}  // namespace imasnap::fuzz
