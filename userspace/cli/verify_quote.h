// SPDX-License-Identifier: GPL-2.0-or-later
//
// verify --quote: the options, and the steps before the log is read.
#ifndef IMASNAP_CLI_VERIFY_QUOTE_H_
#define IMASNAP_CLI_VERIFY_QUOTE_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "commands.h"
#include "pcr_values.h"
#include "quote_check.h"

namespace imasnap::cli {

struct QuoteOptions {
  std::string message;
  std::string signature;
  std::string ak;
  std::string nonce;
  bool ignore_reset_count = false;

  bool given() const { return !message.empty(); }
};

// `tpm`: the option that --quote excludes.
void DeclareQuoteOptions(CLI::App* verify, CLI::Option* tpm, QuoteOptions* options);

// Reads the files and verifies the quote, but for its boot.
Result<CheckedQuote> LoadQuote(const Context& context, const QuoteOptions& options);

// Compares the quote's reset count with the log's, where that is known. Returns
// whether they were compared.
Result<bool> CheckBoot(const Context& context, const QuoteOptions& options,
                       const CheckedQuote& quote, std::optional<uint32_t> log_reset_count);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_VERIFY_QUOTE_H_
