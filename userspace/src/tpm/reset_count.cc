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

ResetCount CachedResetCount(ResetCount ask) {
  struct Cache {
    std::mutex mutex;
    std::optional<uint32_t> count;
  };
  return [ask = std::move(ask), cache = std::make_shared<Cache>()] {
    const std::lock_guard<std::mutex> lock(cache->mutex);
    if (!cache->count) {
      cache->count = ask();
    }
    return cache->count;
  };
}

}  // namespace imasnap
