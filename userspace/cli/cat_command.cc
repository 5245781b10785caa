// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "store/boot_log.h"
#include "store/completeness.h"
#include "store/log_parts.h"
#include "store/log_writer.h"

namespace imasnap::cli {
namespace {

// One object a line.
Status WriteJson(const std::vector<LogPart>& parts, uint64_t from, std::ostream& out) {
  uint64_t before = 0;
  for (const LogPart& part : parts) {
    if (part.discarded) {
      before = part.info->last_record;
      continue;
    }
    IMASNAP_ASSIGN(const std::unique_ptr<File> file, part.open());
    LogReader reader(*file, {}, part.path);
    while (true) {
      IMASNAP_ASSIGN(const Record* record, reader.Next());
      if (record == nullptr) {
        break;
      }
      if (from == 1 && before + record->number == 1) {
        IMASNAP_RETURN_IF_ERROR(CheckBeginning(*record, part.path));
      }
      if (before + record->number >= from) {
        out << Dump(ToJson(*record, before + record->number));
      }
    }
    before += reader.records();
  }
  return {};
}

}  // namespace

Result<int> CatCommand(const Context& context, const CatArguments& arguments) {
  const auto alg = HashFromName(arguments.hash);
  if (!alg) {
    return MakeError(
        ErrorCode::kUsage,
        fmt::format(
            "--hash: \"{}\" is not known; sha1, sha256, sha384, sha512, sm3 and sha3-... are",
            arguments.hash));
  }
  if (context.options.json && (arguments.ascii || *alg != HashAlg::kSha1)) {
    return MakeError(ErrorCode::kUsage, "--json cannot be combined with --ascii or --hash");
  }
  // Copied while the lock is held, so that a slow reader does not block snapshots.
  IMASNAP_ASSIGN(BootLog boot_log, ReadAgainIfCut([&]() -> Result<BootLog> {
                   IMASNAP_ASSIGN(BootLog copied, OpenBootLog(context.env));
                   IMASNAP_ASSIGN(copied.live, Spool(context.env.fs, *copied.live));
                   return copied;
                 }));
  if (boot_log.gap) {
    return FileError(
        ErrorCode::kMismatch, Cause::kNotContinued, boot_log.live_path,
        "does not continue the last stored segment; 'ima-snapshot show live' shows what it has");
  }
  std::vector<LogPart> parts = PartsOf(context.env, boot_log);
  IMASNAP_RETURN_IF_ERROR(CheckComplete(parts, arguments.from));
  boot_log.lock.reset();
  parts.back().open = [&boot_log]() -> Result<std::unique_ptr<File>> {
    return std::move(boot_log.live);
  };
  std::ostream& out = context.host.out;
  if (context.options.json) {
    IMASNAP_RETURN_IF_ERROR(WriteJson(parts, arguments.from, out));
    return kExitOk;
  }
  const ByteSink sink = [&out](ByteView bytes) -> Status {
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    if (!out) {
      return FileError(ErrorCode::kFailed, Cause::kNotWritten, "standard output",
                       "could not be written");
    }
    return {};
  };
  IMASNAP_ASSIGN(
      const uint64_t written,
      WriteLog(parts,
               {.ascii = arguments.ascii,
                .header_alg = *alg,
                .from = arguments.from,
                // On the same terminal it would mix with the output.
                .progress = context.host.out_is_terminal ? Progress() : context.env.on_progress},
               sink));
  if (context.options.verbose) {
    context.Diagnose(Counted(written, "record") + " written");
  }
  return kExitOk;
}

}  // namespace imasnap::cli
