// SPDX-License-Identifier: GPL-2.0-or-later
//
// The commands of ima-snapshot, one file a group. Each prints its result to the
// host's output and returns the exit status; errors are returned and printed by
// the caller.
#ifndef IMASNAP_CLI_COMMANDS_H_
#define IMASNAP_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
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

using Command = std::function<Result<int>(const Context&)>;

class CommandTable {
 public:
  explicit CommandTable(CLI::App* app) : app_(app) {}

  // Declares a subcommand; options are added to what it returns.
  CLI::App* Add(const std::string& name, const std::string& description, Command command);
  // The command that the parsed arguments name.
  const Command& Chosen() const;

 private:
  CLI::App* app_;
  std::map<const CLI::App*, Command> commands_;
};

void AddTakeCommand(CommandTable* commands);
void AddStatusCommand(CommandTable* commands);
void AddListCommands(CommandTable* commands);  // list, show
void AddCatCommand(CommandTable* commands);
void AddVerifyCommand(CommandTable* commands);
void AddMountCommand(CommandTable* commands);
void AddGcCommand(CommandTable* commands);
void AddAkCommand(CommandTable* commands);  // ak create
void AddQuoteCommand(CommandTable* commands);

// "1-1021": the records of a segment.
std::string RecordRange(const SegmentInfo& info);
// The key of --state-key FILE; empty without one.
Result<std::string> ReadStateKey(const Context& context, const std::string& file);
// A failure to read is, for verification, a failure to check.
Error CannotCheck(Error error);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_COMMANDS_H_
