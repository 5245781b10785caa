// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "base/read_only_file.h"
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
Status WriteJson(const std::vector<LogPart>& parts, uint64_t from, uint64_t count,
                 std::ostream& out) {
  uint64_t before = 0;
  for (const LogPart& part : parts) {
    if (part.discarded) {
      before = part.info->last_record;
      continue;
    }
    IMASNAP_ASSIGN(const std::unique_ptr<File> file, part.open());
    LogReader reader(*file, {}, part.path);
    while (true) {
      auto next = reader.Next();
      if (!next.ok()) {
        return ErrorOfPart(part, std::move(next.error()));
      }
      const Record* const record = *next;
      if (record == nullptr) {
        break;
      }
      if (from == 1 && before + record->number == 1) {
        IMASNAP_RETURN_IF_ERROR(CheckBeginning(*record, part.path));
      }
      if (count == 0) {
        return {};
      }
      if (before + record->number >= from) {
        --count;
        out << Dump(ToJson(*record, before + record->number));
      }
    }
    before += reader.records();
  }
  return before > 0 ? Status() : EmptyLog(parts.back().path);
}

// What --hash names: several only for CEL.
Result<std::vector<HashAlg>> AlgsOf(const CatArguments& arguments) {
  std::vector<HashAlg> algs;
  std::string_view rest = !arguments.hash.empty() ? std::string_view(arguments.hash)
                          : arguments.cel         ? "sha1,sha256"
                                                  : "sha1";
  for (size_t comma = 0; comma != std::string_view::npos; rest.remove_prefix(comma + 1)) {
    comma = rest.find(',');
    const std::string_view name = rest.substr(0, comma);
    const auto alg = HashFromName(name);
    if (!alg || (!algs.empty() && !arguments.cel)) {
      return MakeError(
          ErrorCode::kUsage,
          fmt::format("--hash: \"{}\" is not known; sha1, sha256, sha384, sha512, sm3 and sha3-... "
                      "are, with --cel several of them with commas between them",
                      alg ? std::string_view(arguments.hash) : name));
    }
    algs.push_back(*alg);
    if (comma == std::string_view::npos) {
      break;
    }
  }
  return algs;
}

// What --after-digest names; nothing without it.
Result<std::optional<Digest>> AfterDigest(const CatArguments& arguments, HashAlg alg) {
  if (arguments.after_digest.empty()) {
    return std::optional<Digest>();
  }
  const auto bytes = FromHex(arguments.after_digest);
  if (!bytes || bytes->size() != DigestSize(alg)) {
    return MakeError(ErrorCode::kUsage, Cause::kNotHexadecimal,
                     fmt::format("--after-digest: \"{}\" is not a {} digest in hexadecimal",
                                 Printable(arguments.after_digest), HashName(alg)));
  }
  return std::optional<Digest>(Digest::From(*bytes));
}

}  // namespace

Result<int> CatCommand(const Context& context, const CatArguments& arguments) {
  IMASNAP_ASSIGN(const std::vector<HashAlg> algs, AlgsOf(arguments));
  const HashAlg alg = algs.front();
  const bool only_digest = !arguments.after_digest.empty();
  if (context.options.json &&
      (arguments.ascii || arguments.cel || (alg != HashAlg::kSha1 && !only_digest))) {
    return MakeError(ErrorCode::kUsage, "--json cannot be combined with --ascii, --cel or --hash");
  }
  IMASNAP_ASSIGN(const std::optional<Digest> after, AfterDigest(arguments, alg));
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
  boot_log.lock.reset();
  parts.back().open =
      [live = std::shared_ptr<File>(std::move(boot_log.live))]() -> Result<std::unique_ptr<File>> {
    return std::unique_ptr<File>(std::make_unique<SharedFile>(live));
  };
  uint64_t from = arguments.from;
  if (after) {
    IMASNAP_RETURN_IF_ERROR(CheckComplete(parts, UINT64_MAX));
    IMASNAP_ASSIGN(from, FindDigest(parts, alg, *after));
    ++from;
  }
  IMASNAP_RETURN_IF_ERROR(CheckComplete(parts, from));
  std::ostream& out = context.host.out;
  if (context.options.json) {
    IMASNAP_RETURN_IF_ERROR(WriteJson(parts, from, arguments.count, out));
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
                .header_alg = alg,
                .cel = arguments.cel ? algs : std::vector<HashAlg>(),
                .from = from,
                .count = arguments.count,
                // On the same terminal it would mix with the output.
                .progress = context.host.out_is_terminal ? Progress() : context.env.on_progress},
               sink));
  if (context.options.verbose) {
    context.Diagnose(Counted(written, "record") + " written");
  }
  return kExitOk;
}

}  // namespace imasnap::cli
