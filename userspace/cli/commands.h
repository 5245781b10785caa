// SPDX-License-Identifier: GPL-2.0-or-later
//
// One function a command. Each prints its result to the host's output and
// returns the exit status; errors are returned and printed by the caller.
#ifndef IMASNAP_CLI_COMMANDS_H_
#define IMASNAP_CLI_COMMANDS_H_

#include <string>
#include <vector>

#include "app.h"
#include "environment.h"

namespace imasnap::cli {

struct Context {
  const Host& host;
  const GlobalOptions& options;
  const Environment& env;

  // "ima-snapshot: <text>" on the error output.
  void Diagnose(const std::string& text) const;
};

struct VerifyArguments {
  bool tpm = false;
  std::vector<std::string> pcr_files;
};

struct CatArguments {
  bool ascii = false;
  std::string hash = "sha1";
  uint64_t from = 1;
};

Result<int> TakeCommand(const Context& context, bool mark);
Result<int> StatusCommand(const Context& context);
Result<int> ListCommand(const Context& context);
Result<int> ShowCommand(const Context& context, const std::string& segment);
Result<int> CatCommand(const Context& context, const CatArguments& arguments);
Result<int> VerifyCommand(const Context& context, const VerifyArguments& arguments);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_COMMANDS_H_
