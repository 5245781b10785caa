// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "ak.h"
#include "commands.h"
#include "json.h"

namespace imasnap::cli {
namespace {

struct AkArguments {
  std::string type = "rsa";
  std::string name = kDefaultAkName;
};

Result<int> CreateAk(const Context& context, const AkArguments& arguments) {
  FileSystem& fs = context.env.fs;
  IMASNAP_ASSIGN(const AkFiles files, AkFilesOf(context.env.config.store, arguments.name));
  IMASNAP_ASSIGN(const std::unique_ptr<Tpm> tpm, Tpm::Open(context.options.tcti));
  IMASNAP_ASSIGN(const std::unique_ptr<File> lock, LockAks(fs, files));
  IMASNAP_ASSIGN(const bool exists, HasAk(fs, files));
  if (exists) {
    return FileError(ErrorCode::kFailed, files.public_area,
                     "is an AK already, and verifiers may rely on it; choose another --name, or "
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

}  // namespace

void AddAkCommand(CommandTable* commands) {
  auto args = std::make_shared<AkArguments>();
  CLI::App* ak = commands->Add("ak", "Attestation keys of this store",
                               [args](const Context& context) { return CreateAk(context, *args); });
  ak->require_subcommand(1);
  CLI::App* create = ak->add_subcommand("create", "Make an attestation key in the TPM");
  create->add_option("--alg", args->type, "Algorithm: rsa (2048 bits) or ecc (P-256)")
      ->type_name("ALG")
      ->check(CLI::IsMember({"rsa", "ecc"}));
  create->add_option("--name", args->name, "What its files are called")->type_name("NAME");
  const char* examples = R"(Examples:
  ima-snapshot ak create
  ima-snapshot ak create --alg ecc --name ecc    a second one, for quote --ak ecc)";
  ak->footer(examples);
  create->footer(examples);
}

}  // namespace imasnap::cli
