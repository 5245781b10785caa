// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/config.h"

#include "fake_file_system.h"
#include "targets.h"

namespace imasnap::fuzz {

Status Config(ByteView input) {
  const std::string file = "/etc/ima-snapshot.conf";
  const std::string_view text = AsText(input);
  const size_t nul = text.find('\0');
  testing::FakeFileSystem fs(nullptr);
  fs.Write(file, text.substr(0, nul));
  if (nul != std::string_view::npos) {
    fs.Write(file + ".d/10.conf", text.substr(nul + 1));
  }
  const auto config = LoadConfig(fs, file, /*required=*/true);
  if (!config.ok()) {
    return Require(config.error().file.starts_with(file), "an error names its file");
  }
  IMASNAP_RETURN_IF_ERROR(Require(
      config->store.starts_with('/') && config->lock_file.starts_with('/'), "paths are absolute"));
  return Require(config->keep_boots > 0 && config->max_records != 0U && config->max_bytes != 0U &&
                     config->max_age_seconds != 0U,
                 "no boot is none, and a limit of zero is off");
}

}  // namespace imasnap::fuzz
