// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include <utility>

#include "base/read_only_file.h"
#include "cli/commands.h"
#include "cli/quoting.h"
#include "evidence/evidence_writer.h"
#include "store/boot_log.h"
#include "store/completeness.h"
#include "tpm/quote.h"

namespace imasnap::cli {
namespace {

// The parts can be read until the result is destroyed; the lock is no longer held.
struct Taken {
  BootLog boot_log;
  EvidenceParts parts;
};

// The log is read after the quote, so that it has all records that were quoted.
Result<Taken> Take(const Context& context, const EvidenceArguments& arguments, ByteView nonce) {
  IMASNAP_ASSIGN(const AkFiles files, AkFilesOf(context.env.config.store, arguments.ak));
  IMASNAP_ASSIGN(const Ak ak, ReadAk(context.env.fs, files));
  IMASNAP_ASSIGN(std::unique_ptr<File> lock, AcquireLock(context.env, LockMode::kShared));
  IMASNAP_ASSIGN(const std::unique_ptr<Tpm> tpm, Tpm::Open(context.options.tcti));
  const auto pcrs_of_log = [&]() -> Result<std::set<uint32_t>> {
    IMASNAP_ASSIGN(const BootLog log, OpenBootLogLocked(context.env));
    return PcrsOfLog(PartsOf(context.env, log));
  };
  IMASNAP_ASSIGN(const PcrSelection selection, SelectionOf(arguments.pcrs, tpm.get(), pcrs_of_log));
  IMASNAP_ASSIGN(Quote quote, MakeQuote(*tpm, ak, nonce, selection));
  Taken taken;
  IMASNAP_ASSIGN(taken.boot_log, OpenBootLogLocked(context.env));
  if (taken.boot_log.gap) {
    return FileError(ErrorCode::kMismatch, Cause::kNotContinued, taken.boot_log.live_path,
                     "does not continue the last stored segment; 'ima-snapshot status' shows both");
  }
  IMASNAP_ASSIGN(taken.boot_log.live, Spool(context.env.fs, *taken.boot_log.live));
  std::vector<LogPart> log = PartsOf(context.env, taken.boot_log);
  log.back().open = [live = std::shared_ptr<File>(
                         std::move(taken.boot_log.live))]() -> Result<std::unique_ptr<File>> {
    return std::unique_ptr<File>(std::make_unique<SharedFile>(live));
  };
  IMASNAP_RETURN_IF_ERROR(CheckComplete(log, UINT64_MAX));
  IMASNAP_ASSIGN(taken.parts.log, PartsAfter(std::move(log), arguments.after_attempt));
  if (taken.boot_log.session) {
    taken.parts.session = taken.boot_log.session->info;
  }
  taken.parts.quote = std::move(quote.message);
  taken.parts.signature = std::move(quote.signature);
  taken.parts.pcrs = ToPcrText(quote.values);
  return taken;
}

}  // namespace

Result<int> EvidenceCommand(const Context& context, const EvidenceArguments& arguments) {
  IMASNAP_ASSIGN(const Bytes nonce, NonceOf(arguments.nonce));
  const bool to_file = !arguments.out.empty() && arguments.out != "-";
  if (!to_file && context.host.out_is_terminal) {
    return MakeError(
        ErrorCode::kUsage,
        "evidence is not written to a terminal: give --out FILE, or redirect the output");
  }
  IMASNAP_ASSIGN(const Taken taken,
                 ReadAgainIfCut([&] { return Take(context, arguments, nonce); }));
  if (!to_file) {
    std::ostream& out = context.host.out;
    IMASNAP_RETURN_IF_ERROR(WriteEvidence(taken.parts, [&out](ByteView bytes) -> Status {
      const std::string_view text = AsText(bytes);
      out.write(text.data(), static_cast<std::streamsize>(text.size()));
      return out ? Status()
                 : FileError(ErrorCode::kFailed, Cause::kNotWritten, "standard output",
                             "could not be written");
    }));
    return kExitOk;
  }
  IMASNAP_ASSIGN(const std::unique_ptr<File> file,
                 context.env.fs.OpenFile(arguments.out, OpenMode::kCreatePrivate));
  Status written =
      WriteEvidence(taken.parts, [&](ByteView bytes) { return file->WriteAll(bytes); });
  written = written.ok() ? file->Close() : std::move(written);
  if (!written.ok()) {
    static_cast<void>(context.env.fs.Unlink(arguments.out));
    return std::move(written.error());
  }
  return kExitOk;
}

}  // namespace imasnap::cli
