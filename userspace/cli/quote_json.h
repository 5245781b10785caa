// SPDX-License-Identifier: GPL-2.0-or-later
//
// How quotes are printed, by the command that makes them and the one that verifies
// them.
#ifndef IMASNAP_CLI_QUOTE_JSON_H_
#define IMASNAP_CLI_QUOTE_JSON_H_

#include <string>

#include "cli/json.h"
#include "tpm/quote_check.h"

namespace imasnap::cli {

Json ToJson(const ClockInfo& clock);
// `reset_count_checked`: whether it was compared with the log's.
Json ToJson(const CheckedQuote& quote, bool reset_count_checked);

// "clock       ..." with its line end.
std::string ClockLine(const ClockInfo& clock);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_QUOTE_JSON_H_
