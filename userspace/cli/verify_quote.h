// SPDX-License-Identifier: GPL-2.0-or-later
//
// verify --quote: the steps before the log is read.
#ifndef IMASNAP_CLI_VERIFY_QUOTE_H_
#define IMASNAP_CLI_VERIFY_QUOTE_H_

#include <optional>
#include <string>

#include "cli/commands.h"
#include "evidence/evidence_reader.h"
#include "tpm/pcr_values.h"
#include "tpm/quote_check.h"

namespace imasnap::cli {

// Reads the files and verifies the quote, except its boot.
Result<CheckedQuote> LoadQuote(const Context& context, const QuoteFiles& options);

// The same of a quote that was read from `evidence`.
Result<CheckedQuote> CheckQuoteOf(const Context& context, const QuoteFiles& options,
                                  const EvidenceReader& evidence);

// Compares the quote's reset count with the log's, unless that is to be ignored.
// Returns whether they were compared; kCannotCheck if that of the log is not known.
// `file` has the quote.
Result<bool> CheckBoot(const QuoteFiles& options, const CheckedQuote& quote,
                       const std::string& file, std::optional<uint32_t> log_reset_count);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_VERIFY_QUOTE_H_
