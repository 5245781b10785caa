// SPDX-License-Identifier: GPL-2.0-or-later
//
// libFuzzer's entry; IMASNAP_FUZZ_TARGET is the function that it runs.
#include <cstdio>
#include <cstdlib>

#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const imasnap::Status held =
      imasnap::fuzz::IMASNAP_FUZZ_TARGET(std::as_bytes(std::span(data, size)));
  if (!held.ok()) {
    // libFuzzer keeps the input of what aborts.
    static_cast<void>(std::fprintf(stderr, "%s\n", held.error().ToString().c_str()));
    std::abort();
  }
  return 0;
}
