// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/machine.h"

#include <sys/utsname.h>

#include <array>
#include <ctime>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/hash.h"

namespace imasnap {
namespace {

// libsystemd has functions for this, but only the programs are linked with it.
constexpr const char* kMachineIdFile = "/etc/machine-id";
constexpr const char* kBootIdFile = "/proc/sys/kernel/random/boot_id";
constexpr size_t kIdSize = 16;
// Of this program: APP-ID of systemd-id128(1).
constexpr std::array<uint8_t, kIdSize> kApplication = {
    0x6e, 0x1b, 0x93, 0x4c, 0x0a, 0x5d, 0x4f, 0x27, 0x8c, 0x3e, 0xb1, 0x70, 0x2f, 0xd4, 0x96, 0x58};

// 32 hex digits, with or without dashes; empty if there are none.
Bytes ReadId(FileSystem& fs, const char* path) {
  auto text = fs.ReadFile(path);
  if (!text.ok()) {
    return {};
  }
  std::erase_if(*text, [](char c) { return c == '-' || c == '\n'; });
  auto id = FromHex(*text);
  return id && id->size() == kIdSize ? std::move(*id) : Bytes();
}

// A UUID of version 4, variant DCE.
std::string ForApplication(ByteView machine) {
  Digest id = HmacSha256(machine, std::as_bytes(std::span(kApplication)));
  id.bytes[6] = (id.bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  id.bytes[8] = (id.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  return ToHex(id.view().first(kIdSize));
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

MachineIdentity ReadMachineIdentity(FileSystem& fs) {
  MachineIdentity identity;
  const Bytes machine = ReadId(fs, kMachineIdFile);
  if (!machine.empty()) {
    identity.machine = ForApplication(machine);
  }
  identity.boot = ToHex(ReadId(fs, kBootIdFile));
  return identity;
}

}  // namespace imasnap
