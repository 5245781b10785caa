// SPDX-License-Identifier: GPL-2.0-or-later
//
// The command line of ima-snapshot: what ima-snapshot(1) describes. Nothing else
// knows the library that parses it, which takes the compiler longer than all of a
// command.
#ifndef IMASNAP_CLI_COMMAND_LINE_H_
#define IMASNAP_CLI_COMMAND_LINE_H_

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "cli/commands.h"

namespace imasnap::cli {

struct CommandLine {
  GlobalOptions global;
  std::function<Result<int>(const Context&)> command;
  // The command works on copies alone, perhaps of another machine: this one's
  // configuration and kernel are not looked at.
  bool copies = false;
  // The command reads files of the kernel.
  bool kernel = true;
};

// `args` without the program's name. Help, the version, and what is wrong with
// the arguments go to the host's outputs, and their exit status is returned.
std::variant<CommandLine, ExitCode> ParseCommandLine(const std::vector<std::string>& args,
                                                     const Host& host);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_COMMAND_LINE_H_
