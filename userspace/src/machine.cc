// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine.h"

#include <sys/utsname.h>
#include <systemd/sd-id128.h>

#include <array>
#include <ctime>

#include "tpm.h"

namespace imasnap {
namespace {

// Of this program, for sd_id128_get_machine_app_specific(3).
constexpr sd_id128_t kApplication =
    SD_ID128_MAKE(6e, 1b, 93, 4c, 0a, 5d, 4f, 27, 8c, 3e, b1, 70, 2f, d4, 96, 58);

std::string ToText(sd_id128_t id) {
  std::array<char, SD_ID128_STRING_MAX> text{};
  return sd_id128_to_string(id, text.data());
}

}  // namespace

std::string UtcNow() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  const size_t n = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text.data(), n};
}

std::string KernelRelease() {
  struct utsname name {};
  return ::uname(&name) == 0 ? name.release : "";
}

MachineIdentity ReadMachineIdentity() {
  MachineIdentity identity;
  sd_id128_t id;
  if (sd_id128_get_machine_app_specific(kApplication, &id) == 0) {
    identity.machine = ToText(id);
  }
  if (sd_id128_get_boot(&id) == 0) {
    identity.boot = ToText(id);
  }
  return identity;
}

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

}  // namespace imasnap
