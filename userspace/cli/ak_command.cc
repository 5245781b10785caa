// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/json.h"
#include "tpm/ak.h"

namespace imasnap::cli {
Result<int> AkCreateCommand(const Context& context, const AkArguments& arguments) {
  FileSystem& fs = context.env.fs;
  IMASNAP_ASSIGN(const AkFiles files, AkFilesOf(context.env.config.store, arguments.name));
  IMASNAP_ASSIGN(const std::unique_ptr<Tpm> tpm, Tpm::Open(context.options.tcti));
  IMASNAP_ASSIGN(const std::unique_ptr<File> lock, LockAks(fs, files));
  IMASNAP_ASSIGN(const bool exists, HasAk(fs, files));
  if (exists) {
    return FileError(ErrorCode::kFailed, Cause::kAkExists, files.public_area,
                     "already exists, and verifiers may rely on it; choose another --name, or "
                     "remove its files first");
  }
  IMASNAP_ASSIGN(const Ak ak, MakeAk(*tpm, arguments.type == "ecc" ? AkType::kEcc : AkType::kRsa));
  IMASNAP_ASSIGN(const AttestationKey key, AttestationKey::Parse(ak.public_area));
  IMASNAP_RETURN_IF_ERROR(WriteAk(fs, files, ak));
  if (context.options.json) {
    Json json;
    json["name"] = arguments.name;
    json["algorithm"] = arguments.type;
    json["public"] = files.public_area;
    json["private"] = files.private_area;
    json["pem"] = files.pem;
    json["tpm_name"] = key.tpm_name();
    json["ak_id"] = key.id();
    context.host.out << Dump(json);
  } else {
    context.host.out << fmt::format(
        "AK          {} ({})\npublic      {}\nprivate     {}\nPEM         {}\nTPM name    {}\n",
        arguments.name, arguments.type, files.public_area, files.private_area, files.pem,
        key.tpm_name());
  }
  return kExitOk;
}

}  // namespace imasnap::cli
