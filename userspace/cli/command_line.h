// SPDX-License-Identifier: GPL-2.0-or-later
//
// The command line of ima-snapshot, as in ima-snapshot(1). No other file includes the
// library that parses it, because it is slow to compile.
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
  // The command only uses copies, maybe of another machine. The configuration and
  // kernel of this machine are not read.
  bool copies = false;
  // The command reads files of the kernel.
  bool kernel = true;
};

// `args` are without the program's name. Help, the version and errors in the arguments
// are printed to the host's outputs; then their exit status is returned.
std::variant<CommandLine, ExitCode> ParseCommandLine(const std::vector<std::string>& args,
                                                     const Host& host);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_COMMAND_LINE_H_
