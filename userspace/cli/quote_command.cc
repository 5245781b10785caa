// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>

#include "cli/commands.h"
#include "cli/json.h"
#include "cli/quote_json.h"
#include "cli/quoting.h"
#include "snapshot/snapshot.h"
#include "store/boot_log.h"
#include "store/log_parts.h"
#include "tpm/quote.h"

namespace imasnap::cli {
namespace {

// The paths of the output files; nothing is written to an empty path.
struct Destinations {
  std::string message;
  std::string signature;
  std::string pcrs;
  std::string pcr_text;
};

// The same if two names are one file.
std::string PlainName(const std::string& path) {
  std::error_code failed;
  std::filesystem::path plain = std::filesystem::absolute(path, failed);
  if (!failed) {
    plain = std::filesystem::weakly_canonical(plain, failed);
  }
  return failed ? path : plain.string();
}

Result<Destinations> DestinationsOf(const Context& context, const QuoteArguments& arguments) {
  const bool files = !arguments.message.empty() || !arguments.signature.empty();
  if (files != (!arguments.message.empty() && !arguments.signature.empty())) {
    return MakeError(ErrorCode::kUsage, "--msg and --sig must be given together");
  }
  if (arguments.directory.empty() && !files && !context.options.json) {
    return MakeError(ErrorCode::kUsage,
                     "no output is given: use --out DIR, or --msg FILE --sig FILE, or --json");
  }
  if (!arguments.directory.empty()) {
    const std::string base = arguments.directory + "/quote.";
    return Destinations{base + "msg", base + "sig", base + "pcrs", base + "pcrs.txt"};
  }
  Destinations out{arguments.message, arguments.signature, arguments.pcrs_out, ""};
  if (!arguments.pcrs_out.empty()) {
    out.pcr_text = arguments.pcrs_out + ".txt";
  }
  std::set<std::string> paths;
  for (const std::string& path : {out.message, out.signature, out.pcrs, out.pcr_text}) {
    if (path.empty()) {
      continue;
    }
    const std::string plain = PlainName(path);
    // WriteDurably() writes under the second name first.
    for (const std::string& name : {plain, plain + ".tmp"}) {
      if (!paths.insert(name).second) {
        return FileError(ErrorCode::kUsage, Cause::kSameFile, path,
                         "is named for two outputs; name a separate file for each");
      }
    }
  }
  return out;
}

// Renaming would replace a device or a link with a file.
Status CheckRegular(FileSystem& fs, const Destinations& to) {
  for (const std::string& path : {to.message, to.signature, to.pcrs, to.pcr_text}) {
    if (path.empty()) {
      continue;
    }
    const auto info = fs.Stat(path);
    if (info.ok() && info->type != FileType::kRegular) {
      return FileError(ErrorCode::kUsage, Cause::kNotRegularFile, path, "is not a regular file");
    }
  }
  return {};
}

Status WriteFiles(FileSystem& fs, const Destinations& to, const Quote& quote) {
  const std::string pcr_text = ToPcrText(quote.values);
  const Bytes pcrs = ToCheckquoteFormat(quote.attestation.selection, quote.values);
  const std::pair<const std::string&, std::string_view> files[] = {
      {to.message, AsText(quote.message)},
      {to.signature, AsText(quote.signature)},
      {to.pcrs, AsText(pcrs)},
      {to.pcr_text, pcr_text}};
  for (const auto& [path, text] : files) {
    if (!path.empty()) {
      IMASNAP_RETURN_IF_ERROR(fs.WriteDurably(path, text));
    }
  }
  return {};
}

Result<std::set<uint32_t>> ImaPcrs(const Environment& env) {
  IMASNAP_ASSIGN(const BootLog boot_log, OpenBootLog(env));
  return PcrsOfLog(PartsOf(env, boot_log));
}

// A quote and, with --then-take, the snapshot after it.
struct Quoted {
  Quote quote;
  std::optional<TakeResult> taken;
};

// Quotes first: then all records that were quoted are in the segments, and perhaps
// some that were measured in the meantime.
Result<Quoted> QuoteThenTake(const Context& context,
                             const std::function<Result<Quote>()>& make_quote) {
  if (context.env.config.mode == SnapshotMode::kMark) {
    return MakeError(ErrorCode::kUsage,
                     "--then-take stores records, but mode = \"mark\" in the configuration");
  }
  Quoted quoted;
  Notes notes;
  auto taken = TakeSnapshot(context.env, false, &notes, [&]() -> Status {
    IMASNAP_ASSIGN(quoted.quote, make_quote());
    return {};
  });
  for (const Note& note : notes) {
    context.Diagnose("note: " + note.text);
  }
  IMASNAP_ASSIGN(quoted.taken, std::move(taken));
  return quoted;
}

Json QuoteJson(const QuoteArguments& arguments, const AttestationKey& key, const Quoted& quoted) {
  const Quote& quote = quoted.quote;
  Json json;
  json["nonce"] = ToHex(quote.attestation.nonce);
  json["message"] = ToHex(quote.message);
  json["signature"] = ToHex(quote.signature);
  json["ak"] = arguments.ak;
  json["ak_id"] = key.id();
  json["ak_tpm_name"] = key.tpm_name();
  json["selection"] = ToText(quote.attestation.selection);
  json["pcr_digest"] = ToHex(quote.attestation.pcr_digest);
  Json banks = Json::object();
  for (const auto& [bank, pcrs] : quote.values) {
    for (const auto& [pcr, value] : pcrs) {
      banks[bank][std::to_string(pcr)] = value.Hex();
    }
  }
  json["pcrs"] = std::move(banks);
  json["clock"] = ToJson(quote.attestation.clock);
  if (quoted.taken) {
    json["session"] = quoted.taken->session;
    json["segment"] = quoted.taken->segment ? ToJson(*quoted.taken->segment) : Json(nullptr);
  }
  return json;
}

}  // namespace

Result<int> QuoteCommand(const Context& context, const QuoteArguments& arguments) {
  IMASNAP_ASSIGN(const Bytes nonce, NonceOf(arguments.nonce));
  IMASNAP_ASSIGN(const Destinations to, DestinationsOf(context, arguments));
  FileSystem& fs = context.env.fs;
  IMASNAP_ASSIGN(const AkFiles files, AkFilesOf(context.env.config.store, arguments.ak));
  IMASNAP_ASSIGN(const Ak ak, ReadAk(fs, files));
  auto key = AttestationKey::Parse(ak.public_area);
  if (!key.ok()) {
    return FileError(key.error().code, key.error().cause, files.public_area, key.error().message);
  }
  IMASNAP_ASSIGN(const std::unique_ptr<Tpm> tpm, Tpm::Open(context.options.tcti));
  IMASNAP_ASSIGN(const PcrSelection selection,
                 SelectionOf(arguments.pcrs, tpm.get(), [&] { return ImaPcrs(context.env); }));
  IMASNAP_RETURN_IF_ERROR(CheckRegular(fs, to));
  if (!arguments.directory.empty()) {
    IMASNAP_RETURN_IF_ERROR(fs.MakeDirectories(arguments.directory));
  }
  const auto make_quote = [&] { return MakeQuote(*tpm, ak, nonce, selection); };
  Quoted quoted;
  if (arguments.then_take) {
    IMASNAP_ASSIGN(quoted, QuoteThenTake(context, make_quote));
  } else {
    IMASNAP_ASSIGN(quoted.quote, make_quote());
  }
  if (const Status written = WriteFiles(fs, to, quoted.quote); !written.ok()) {
    Error error = written.error();
    if (quoted.taken) {
      error.message += "; what was done anyway: " + TakenText(*quoted.taken, false);
    }
    return error;
  }
  if (context.options.json) {
    context.host.out << Dump(QuoteJson(arguments, *key, quoted));
    return kExitOk;
  }
  context.host.out << fmt::format(
      "AK          {} (TPM name {})\nPCRs        {}\n{}message     {}\n"
      "signature   {}\n",
      files.public_area, key->tpm_name(), ToText(selection),
      ClockLine(quoted.quote.attestation.clock), to.message, to.signature);
  if (!to.pcrs.empty()) {
    context.host.out << fmt::format("PCR values  {}, {}\n", to.pcrs, to.pcr_text);
  }
  if (quoted.taken) {
    context.host.out << "snapshot    " << TakenText(*quoted.taken, false) << "\n";
  }
  return kExitOk;
}

}  // namespace imasnap::cli
