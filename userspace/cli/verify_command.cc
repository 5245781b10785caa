// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/json.h"
#include "cli/quote_json.h"
#include "cli/verify_quote.h"
#include "cli/verify_report.h"
#include "evidence/evidence_reader.h"
#include "store/boot_log.h"
#include "store/log_parts.h"
#include "verify/checkpoint.h"
#include "verify/copied_store.h"
#include "verify/fixed_pcrs.h"
#include "verify/quoted_digest.h"
#include "verify/seen_quotes.h"
#include "verify/tpm_pcrs.h"
#include "verify/verify.h"

namespace imasnap::cli {
namespace {

// The log that is verified, and the lock that keeps it unchanged.
struct Log {
  std::vector<LogPart> parts;
  LogIdentity identity;
  std::unique_ptr<File> lock;
};

Result<PcrValues> ReadPcrFiles(const Context& context, const VerifyArguments& arguments) {
  PcrValues all;
  for (const std::string& file : arguments.pcr_files) {
    IMASNAP_ASSIGN(const std::string text, context.env.fs.ReadFile(file, 1U << 20));
    IMASNAP_ASSIGN(const PcrValues values, ParsePcrText(text, file));
    for (const auto& [bank, pcrs] : values) {
      for (const auto& [pcr, value] : pcrs) {
        if (!all[bank].emplace(pcr, value).second) {
          Error error = FileError(ErrorCode::kCannotCheck, Cause::kDuplicate, file,
                                  fmt::format("gives {} PCR {} again", bank, pcr));
          error.bank = bank;
          error.pcr = pcr;
          return error;
        }
      }
    }
  }
  return all;
}

// A stream as a source.
class StreamSource : public ByteSource {
 public:
  explicit StreamSource(std::istream& in) : in_(in) {}
  Result<size_t> Read(std::span<std::byte> out) override {
    in_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
    if (in_.bad()) {
      return FileError(ErrorCode::kFailed, "standard input", "could not be read");
    }
    return static_cast<size_t>(in_.gcount());
  }

 private:
  std::istream& in_;
};

Result<std::unique_ptr<EvidenceReader>> OpenEvidence(const Context& context,
                                                     const std::string& file) {
  if (file != "-") {
    const auto open = [&context, file]() -> Result<std::unique_ptr<ByteSource>> {
      IMASNAP_ASSIGN(std::unique_ptr<File> opened, context.env.fs.OpenFile(file, OpenMode::kRead));
      return std::unique_ptr<ByteSource>(std::move(opened));
    };
    return EvidenceReader::Open(open, file);
  }
  const std::string name = "standard input";
  const auto open = [in = context.host.in, name,
                     opened =
                         std::make_shared<bool>(false)]() -> Result<std::unique_ptr<ByteSource>> {
    if (in == nullptr || std::exchange(*opened, true)) {
      return FileError(ErrorCode::kCannotCheck, Cause::kReadOnce, name,
                       "must be read again, as for a bank whose hash the machine's kernel lacks; "
                       "save it to a file");
    }
    return std::unique_ptr<ByteSource>(std::make_unique<StreamSource>(*in));
  };
  return EvidenceReader::Open(open, name);
}

// What the log is compared with.
struct Compared {
  std::unique_ptr<PcrReader> tpm;
  std::unique_ptr<Comparison> comparison;  // null: nothing
};

Result<Compared> OpenComparison(const Context& context, const VerifyArguments& arguments,
                                const std::optional<CheckedQuote>& quote,
                                const EvidenceReader* evidence) {
  Compared compared;
  if (arguments.tpm) {
    IMASNAP_ASSIGN(compared.tpm, context.host.open_tpm(context.options.tcti));
    compared.comparison = std::make_unique<TpmPcrs>(compared.tpm.get());
    return compared;
  }
  IMASNAP_ASSIGN(PcrValues given, evidence != nullptr
                                      ? ParsePcrText(evidence->pcrs(), arguments.evidence)
                                      : ReadPcrFiles(context, arguments));
  if (quote) {
    IMASNAP_ASSIGN(QuotedPcrs quoted, PcrsOf(*quote, given));
    compared.comparison = std::make_unique<QuotedDigest>(std::move(quoted));
  } else if (!arguments.pcr_files.empty()) {
    compared.comparison = std::make_unique<FixedPcrs>(std::move(given));
  }
  return compared;
}

Result<Log> OpenLog(const Context& context, const VerifyArguments& arguments,
                    const EvidenceReader* evidence) {
  Log log;
  if (evidence != nullptr) {
    log.parts = evidence->parts();
    log.identity = evidence->identity();
    return log;
  }
  if (!arguments.from_dir.empty()) {
    const auto live =
        arguments.live.empty() ? std::nullopt : std::optional<std::string>(arguments.live);
    IMASNAP_ASSIGN(CopiedLog copied,
                   OpenCopiedLog(context.env.fs, arguments.from_dir, arguments.session, live));
    log.parts = std::move(copied.parts);
    log.identity = std::move(copied.identity);
    return log;
  }
  IMASNAP_ASSIGN(BootLog boot_log, OpenBootLog(context.env));
  log.parts = PartsOf(context.env, boot_log);
  log.lock = std::move(boot_log.lock);
  log.identity = boot_log.session && boot_log.session->info
                     ? IdentityOf(*boot_log.session->info)
                     : LogIdentity{.machine = context.env.identity.machine,
                                   .boot = {},
                                   .created = {},
                                   .reset_count = context.env.reset_count()};
  return log;
}

// The owner of the machine may ask its log which PCRs it extends. Who verifies another
// machine must not: the log and its PCRs may be made for him.
std::vector<uint32_t> ImaPcrs(const VerifyArguments& arguments) {
  const bool given = arguments.tpm || !arguments.ima_pcr.empty();
  return given ? arguments.ima_pcr : std::vector<uint32_t>{kImaPcr};
}

// After hibernation the TPM is reset and the log goes on.
void ExplainRestart(const Context& context, const Log& log, Finding* finding) {
  if (!finding->pcr || !log.identity.reset_count) {
    return;
  }
  const std::optional<uint32_t> now = context.env.reset_count();
  if (now && *now != *log.identity.reset_count) {
    finding->tpm_restarted = true;
    finding->message += fmt::format(
        "; the TPM was restarted and the log was not, as by hibernation: its reset count is {}, "
        "and was {} at the first snapshot",
        *now, *log.identity.reset_count);
  }
}

QuoteSeen SeenOf(const CheckedQuote& quote) {
  const ClockInfo& clock = quote.attestation.clock;
  return {
      .reset_count = clock.reset_count, .restart_count = clock.restart_count, .clock = clock.clock};
}

Result<int> Verify(const Context& context, const VerifyArguments& arguments) {
  FileSystem& fs = context.env.fs;
  const bool stateful = !arguments.state.empty();
  std::optional<Checkpoint> from;
  IMASNAP_ASSIGN(const std::string key, ReadStateKey(context, arguments.state_key));
  std::unique_ptr<File> state_lock;
  if (stateful) {
    IMASNAP_ASSIGN(state_lock, LockState(fs, arguments.state, context.host.caller));
    IMASNAP_ASSIGN(from, LoadState(fs, arguments.state, key, context.host.caller));
  }
  std::unique_ptr<EvidenceReader> evidence;
  std::optional<CheckedQuote> quote;
  std::string quote_file = arguments.quote.message;
  if (!arguments.evidence.empty()) {
    IMASNAP_ASSIGN(evidence, OpenEvidence(context, arguments.evidence));
    IMASNAP_ASSIGN(quote, CheckQuoteOf(context, arguments.quote, *evidence));
    quote_file = evidence->quote().file;
  } else if (arguments.quote.given()) {
    IMASNAP_ASSIGN(quote, LoadQuote(context, arguments.quote));
  }
  if (quote) {
    if (from) {
      IMASNAP_RETURN_IF_ERROR(
          CheckNotReplayed(*from, {.ak = quote->ak_id,
                                   .said = SeenOf(*quote),
                                   .file = quote_file,
                                   .state_file = arguments.state,
                                   .ignore_reset_count = arguments.quote.ignore_reset_count}));
    }
  }
  if (evidence) {
    IMASNAP_RETURN_IF_ERROR(evidence->CheckReaches(from ? &*from : nullptr));
  }
  IMASNAP_ASSIGN(const Compared compared,
                 OpenComparison(context, arguments, quote, evidence.get()));
  IMASNAP_ASSIGN(Log log, OpenLog(context, arguments, evidence.get()));
  bool reset_count_checked = false;
  if (quote) {
    std::optional<uint32_t>& of_log = log.identity.reset_count;
    if (!of_log && arguments.from_dir.empty() && !evidence) {
      of_log = context.env.reset_count();
    }
    // The owner of the machine can remove the count from what is copied.
    const std::optional<uint32_t> reset_count =
        of_log || !from ? of_log : from->identity.reset_count;
    IMASNAP_ASSIGN(reset_count_checked,
                   CheckBoot(arguments.quote, *quote, quote_file, reset_count));
  }
  const VerifyOptions options{.from = from ? &*from : nullptr,
                              .state_file = arguments.state,
                              .ima_pcrs = ImaPcrs(arguments),
                              .identity = log.identity,
                              .progress = context.env.on_progress};
  IMASNAP_ASSIGN(VerifyReport report, VerifyLog(log.parts, compared.comparison.get(), options));
  if (arguments.tpm && report.finding) {
    ExplainRestart(context, log, &*report.finding);
  }

  Status saved;
  if (stateful && report.checkpoint) {
    if (quote) {
      report.checkpoint->quotes[quote->ak_id] = SeenOf(*quote);
    }
    // Until the next snapshot it does not change, and syncing takes longer than
    // verifying what was measured since.
    if (report.checkpoint != from) {
      saved = SaveState(fs, arguments.state, key, *report.checkpoint);
    }
  }
  const ReportContext report_context{.stateful = stateful,
                                     .saved = saved.ok(),
                                     .live = log.parts.back().segment == 0,
                                     .last_segment = log.parts.back().segment};
  if (context.options.json) {
    Json json = ToJson(report, report_context);
    if (quote) {
      json["quote"] = ToJson(*quote, reset_count_checked);
    }
    context.host.out << Dump(json);
  } else {
    if (quote) {
      context.host.out << fmt::format("quote       {} of AK {}\n",
                                      ToText(quote->attestation.selection), quote->ak_id)
                       << ClockLine(quote->attestation.clock);
    }
    PrintReport(report, report_context, context.host.out);
  }
  if (report.finding) {
    context.DiagnoseError(report.finding->ToError());
    return kExitMismatch;
  }
  if (!saved.ok()) {
    saved.error().message += "; the log is good, but the state was not written";
    context.DiagnoseError(saved.error());
    return kExitFailed;
  }
  return kExitOk;
}

// A failure to read, or to understand what was read, is a failure to check.
Error CannotCheck(Error error) {
  if (error.code == ErrorCode::kFailed || error.code == ErrorCode::kMalformed) {
    error.code = ErrorCode::kCannotCheck;
  }
  return error;
}

}  // namespace

Result<std::string> ReadStateKey(const Context& context, const std::string& file) {
  return file.empty() ? Result<std::string>(std::string())
                      : LoadStateKey(context.env.fs, file, context.host.caller);
}

Result<int> VerifyCommand(const Context& context, const VerifyArguments& arguments) {
  // From the state on, or from the first record: a pass with a hole proves nothing.
  auto result = ReadAgainIfCut([&] { return Verify(context, arguments); });
  if (!result.ok()) {
    return CannotCheck(std::move(result.error()));
  }
  return result;
}

}  // namespace imasnap::cli
