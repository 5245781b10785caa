// SPDX-License-Identifier: GPL-2.0-or-later
//
// The commands of ima-snapshot, one file for each group. Each prints its result to the
// host's output and returns the exit status. The caller prints errors.
#ifndef IMASNAP_CLI_COMMANDS_H_
#define IMASNAP_CLI_COMMANDS_H_

#include <string>

#include "cli/app.h"
#include "cli/arguments.h"
#include "snapshot/snapshot.h"
#include "store/environment.h"

namespace imasnap::cli {

struct Context {
  const Host& host;
  const GlobalOptions& options;
  const Environment& env;

  // "ima-snapshot: <text>" on the error output.
  void Diagnose(const std::string& text) const;
  // The same of an error; with --json {"error": ...}.
  void DiagnoseError(const Error& error) const;
};

Result<int> TakeCommand(const Context& context, const TakeArguments& arguments);
Result<int> StatusCommand(const Context& context);
Result<int> ListCommand(const Context& context);
Result<int> ShowCommand(const Context& context, const ShowArguments& arguments);
Result<int> CatCommand(const Context& context, const CatArguments& arguments);
Result<int> VerifyCommand(const Context& context, const VerifyArguments& arguments);
Result<int> MountCommand(const Context& context, const MountArguments& arguments);
Result<int> GcCommand(const Context& context, const GcArguments& arguments);
Result<int> AkCreateCommand(const Context& context, const AkArguments& arguments);
Result<int> EvidenceCommand(const Context& context, const EvidenceArguments& arguments);
Result<int> QuoteCommand(const Context& context, const QuoteArguments& arguments);

// What was taken, in one line without its end.
std::string TakenText(const TakeResult& taken, bool only_mark);
// "1-1021" or "none": the records of a segment.
std::string RecordRange(const SegmentInfo& info);
std::string RecordsText(const SegmentInfo& info);  // "records 1-1021", "no records"
// The key from --state-key FILE; empty without the option.
Result<std::string> ReadStateKey(const Context& context, const std::string& file);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_COMMANDS_H_
