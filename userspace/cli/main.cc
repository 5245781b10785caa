// SPDX-License-Identifier: GPL-2.0-or-later
#include <sys/utsname.h>

#include <array>
#include <ctime>
#include <iostream>

#include "app.h"
#include "tpm.h"

namespace {

std::string Now() {
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

std::optional<uint32_t> ResetCount(const std::string& tcti) {
  if (tcti.empty() && !imasnap::HasDefaultTpm()) {
    return std::nullopt;
  }
  auto tpm = imasnap::Tpm::Open(tcti);
  if (!tpm.ok()) {
    return std::nullopt;
  }
  const auto count = (*tpm)->ResetCount();
  return count.ok() ? std::optional<uint32_t>(*count) : std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::unique_ptr<imasnap::FileSystem> fs = imasnap::MakePosixFileSystem();
  const imasnap::cli::Host host{
      .fs = *fs,
      .out = std::cout,
      .err = std::cerr,
      .owner = 0,
      .now = Now,
      .kernel_release = KernelRelease(),
      .open_tpm =
          [](const std::string& tcti) -> imasnap::Result<std::unique_ptr<imasnap::PcrReader>> {
        auto tpm = imasnap::Tpm::Open(tcti);
        if (!tpm.ok()) {
          return std::move(tpm.error());
        }
        return std::unique_ptr<imasnap::PcrReader>(std::move(*tpm));
      },
      .reset_count = ResetCount,
  };
  return imasnap::cli::RunApp({argv + 1, argv + argc}, host);
}
