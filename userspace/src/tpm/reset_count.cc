// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm/reset_count.h"

#include <memory>
#include <mutex>
#include <utility>

#include "tpm/tpm.h"

namespace imasnap {

std::optional<uint32_t> ReadResetCount(const std::string& tcti) {
  if (tcti.empty() && !HasDefaultTpm()) {
    return std::nullopt;
  }
  auto tpm = Tpm::Open(tcti);
  if (!tpm.ok()) {
    return std::nullopt;
  }
  const auto count = (*tpm)->ResetCount();
  return count.ok() ? std::optional<uint32_t>(*count) : std::nullopt;
}

ResetCount ToldOnce(ResetCount ask) {
  struct Told {
    std::mutex mutex;
    std::optional<uint32_t> count;
  };
  return [ask = std::move(ask), told = std::make_shared<Told>()] {
    const std::lock_guard<std::mutex> lock(told->mutex);
    if (!told->count) {
      told->count = ask();
    }
    return told->count;
  };
}

}  // namespace imasnap
