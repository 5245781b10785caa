// SPDX-License-Identifier: GPL-2.0-or-later
//
// A software TPM on the host, and tpm2-tools as the referee.
#ifndef IMASNAP_TESTS_SWTPM_H_
#define IMASNAP_TESTS_SWTPM_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace imasnap::testing {

// Where `name` is on the path or in the directories of administrators' programs.
std::optional<std::string> FindProgram(const std::string& name);

// A directory of its own, removed with what is in it.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct ToolResult {
  int status = -1;
  std::string output;  // both streams
};

// Runs swtpm; its state stays, so that Start() after Stop() is a cold boot of
// the same TPM.
class Swtpm {
 public:
  Swtpm() = default;
  Swtpm(const Swtpm&) = delete;
  Swtpm& operator=(const Swtpm&) = delete;
  ~Swtpm() { Stop(); }

  // False when it did not come up.
  bool Start();
  void Stop();
  std::string tcti() const { return "swtpm:path=" + socket(); }
  const std::string& directory() const { return scratch_.path(); }

  // Runs a program of tpm2-tools on this TPM, in directory().
  ToolResult Tool(const std::vector<std::string>& command) const;
  void WriteFile(const std::string& name, ByteView bytes) const;
  std::string ReadFile(const std::string& name) const;

 private:
  std::string socket() const { return scratch_.path() + "/sock"; }
  std::string Flags() const;

  ScratchDirectory scratch_;
  pid_t pid_ = -1;
};

}  // namespace imasnap::testing

#endif  // IMASNAP_TESTS_SWTPM_H_
