// SPDX-License-Identifier: GPL-2.0-or-later
//
// Checks of the command line, the same for both programs.
#ifndef IMASNAP_PROGRAM_MISTAKES_H_
#define IMASNAP_PROGRAM_MISTAKES_H_

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>

namespace imasnap::program {

// Like every diagnostic: one line, with the program's name. `app` is the program.
inline std::string Mistake(const CLI::App* app, const CLI::Error& mistake) {
  std::string command = app->get_name();
  for (const CLI::App* at = app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    command += " " + at->get_name();
  }
  return app->get_name() + ": " + mistake.what() + "; see " + command + " --help\n";
}

// Throws for an option with an empty value: a variable that a script forgot to set must
// not disable a check.
inline void RefuseEmpty(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    if (std::ranges::find(option->results(), std::string()) != option->results().end()) {
      throw CLI::ValidationError(option->get_name(), "is empty");
    }
  }
  for (const CLI::App* command : app.get_subcommands()) {
    RefuseEmpty(*command);
  }
}

}  // namespace imasnap::program

#endif  // IMASNAP_PROGRAM_MISTAKES_H_
