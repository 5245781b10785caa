// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify_quote.h"

#include <fmt/format.h>

namespace imasnap::cli {
namespace {

constexpr size_t kMaxFile = 64U << 10;

Result<NamedBytes> ReadNamed(FileSystem& fs, const std::string& path) {
  IMASNAP_ASSIGN(const std::string text, fs.ReadFile(path, kMaxFile));
  const ByteView view = AsBytes(text);
  return NamedBytes{path, {view.begin(), view.end()}};
}

}  // namespace

void DeclareQuoteOptions(CLI::App* verify, CLI::Option* tpm, QuoteOptions* options) {
  auto* quote = verify->add_option("--quote", options->message, "Compare with this TPM2_Quote")
                    ->type_name("MSG")
                    ->excludes(tpm);
  auto* signature = verify->add_option("--sig", options->signature, "The quote's signature")
                        ->type_name("SIG")
                        ->needs(quote);
  auto* ak = verify->add_option("--ak", options->ak, "The AK's public part (TPM2B_PUBLIC or PEM)")
                 ->type_name("PUB")
                 ->needs(quote);
  auto* nonce = verify->add_option("--nonce", options->nonce, "The challenge that was given")
                    ->type_name("HEX")
                    ->needs(quote);
  quote->needs(signature, ak, nonce);
  verify
      ->add_flag("--ignore-reset-count", options->ignore_reset_count,
                 "Do not compare the quote's resetCount with the log's")
      ->needs(quote);
}

Result<CheckedQuote> LoadQuote(const Context& context, const QuoteOptions& options) {
  const auto nonce = FromHex(options.nonce);
  if (!nonce || nonce->empty()) {
    return MakeError(ErrorCode::kUsage,
                     fmt::format("--nonce: \"{}\" is not hexadecimal", options.nonce));
  }
  FileSystem& fs = context.env.fs;
  QuoteEvidence evidence;
  evidence.nonce = *nonce;
  IMASNAP_ASSIGN(evidence.message, ReadNamed(fs, options.message));
  IMASNAP_ASSIGN(evidence.signature, ReadNamed(fs, options.signature));
  IMASNAP_ASSIGN(evidence.ak, ReadNamed(fs, options.ak));
  return CheckQuote(evidence);
}

Result<bool> CheckBoot(const Context& context, const QuoteOptions& options,
                       const CheckedQuote& quote, std::optional<uint32_t> log_reset_count) {
  if (options.ignore_reset_count) {
    return false;
  }
  if (!log_reset_count) {
    context.Diagnose(
        "note: the log's resetCount is not known, so that a quote of another boot is only told "
        "apart by its nonce and its PCRs");
    return false;
  }
  const Status same = CheckSameBoot(quote, *log_reset_count);
  if (!same.ok()) {
    return FileError(same.error().code, options.message, same.error().message);
  }
  return true;
}

}  // namespace imasnap::cli
