// SPDX-License-Identifier: GPL-2.0-or-later
//
// What verify prints.
#ifndef IMASNAP_CLI_VERIFY_REPORT_H_
#define IMASNAP_CLI_VERIFY_REPORT_H_

#include <ostream>

#include "cli/json.h"
#include "verify/verify.h"

namespace imasnap::cli {

// What the report itself does not have.
struct ReportContext {
  bool stateful = false;      // --state was given
  bool saved = false;         // and, with a checkpoint in the report, written
  bool live = true;           // the log ends with a list of the kernel
  uint64_t last_segment = 0;  // where it ends otherwise
};

void PrintReport(const VerifyReport& report, const ReportContext& context, std::ostream& out);
Json ToJson(const VerifyReport& report, const ReportContext& context);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_VERIFY_REPORT_H_
