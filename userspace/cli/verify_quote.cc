// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/verify_quote.h"

#include <fmt/format.h>

namespace imasnap::cli {
namespace {

constexpr size_t kMaxFile = 64U << 10;

Result<NamedBytes> ReadNamed(FileSystem& fs, const std::string& path) {
  IMASNAP_ASSIGN(const std::string text, fs.ReadFile(path, kMaxFile));
  const ByteView view = AsBytes(text);
  return NamedBytes{path, {view.begin(), view.end()}};
}

Result<Bytes> NonceOf(const QuoteFiles& options) {
  auto nonce = FromHex(options.nonce);
  if (!nonce || nonce->empty()) {
    return MakeError(ErrorCode::kUsage,
                     fmt::format("--nonce: \"{}\" is not hexadecimal", options.nonce));
  }
  return std::move(*nonce);
}

}  // namespace

Result<CheckedQuote> LoadQuote(const Context& context, const QuoteFiles& options) {
  QuoteEvidence evidence;
  FileSystem& fs = context.env.fs;
  IMASNAP_ASSIGN(evidence.nonce, NonceOf(options));
  IMASNAP_ASSIGN(evidence.message, ReadNamed(fs, options.message));
  IMASNAP_ASSIGN(evidence.signature, ReadNamed(fs, options.signature));
  IMASNAP_ASSIGN(evidence.ak, ReadNamed(fs, options.ak));
  return CheckQuote(evidence);
}

Result<CheckedQuote> CheckQuoteOf(const Context& context, const QuoteFiles& options,
                                  const EvidenceReader& evidence) {
  QuoteEvidence quote{
      .message = evidence.quote(), .signature = evidence.signature(), .ak = {}, .nonce = {}};
  IMASNAP_ASSIGN(quote.nonce, NonceOf(options));
  IMASNAP_ASSIGN(quote.ak, ReadNamed(context.env.fs, options.ak));
  return CheckQuote(quote);
}

Result<bool> CheckBoot(const QuoteFiles& options, const CheckedQuote& quote,
                       const std::string& file, std::optional<uint32_t> log_reset_count) {
  if (options.ignore_reset_count) {
    return false;
  }
  if (!log_reset_count) {
    return FileError(ErrorCode::kCannotCheck, Cause::kResetCountUnknown, file,
                     "may be of another boot: neither the store's session.json nor a state "
                     "(--state) has the log's resetCount; if the nonce is enough proof that the "
                     "quote is new, give --ignore-reset-count");
  }
  Status same = CheckSameBoot(quote, *log_reset_count);
  if (!same.ok()) {
    same.error().file = file;
    return std::move(same.error());
  }
  return true;
}

}  // namespace imasnap::cli
