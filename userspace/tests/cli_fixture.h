// SPDX-License-Identifier: GPL-2.0-or-later
//
// The program, run on a machine in memory.
#ifndef IMASNAP_TESTS_CLI_FIXTURE_H_
#define IMASNAP_TESTS_CLI_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cli/app.h"
#include "world.h"

namespace imasnap::cli {

struct Ran {
  Ran() = default;
  Ran(int exit_code, std::string output, std::string errors)
      : code(exit_code), out(std::move(output)), err(std::move(errors)) {
    if (nlohmann::json::accept(out)) {
      json = nlohmann::json::parse(out);
    }
    if (nlohmann::json::accept(err)) {
      error = nlohmann::json::parse(err).at("error");
    }
  }

  int code = -1;
  std::string out;
  std::string err;
  // With --json: what was printed, and the error. Not const, so that a member that is
  // absent reads as null.
  mutable nlohmann::json json;
  mutable nlohmann::json error;
};

inline std::vector<std::string> AndJson(std::vector<std::string> args) {
  args.emplace_back("--json");
  return args;
}

class CliTest : public ::testing::Test {
 protected:
  Ran Run(const std::vector<std::string>& args) {
    std::ostringstream out;
    std::ostringstream err;
    if (out_is_full_) {
      out.setstate(std::ios::badbit);
    }
    const Host host{
        .fs = world_.fs,
        .out = out,
        .err = err,
        .owner = 0,
        .now = [] { return std::string("2026-01-02T03:04:05Z"); },
        .kernel_release = "7.3.0-test",
        .identity = world_.identity,
        .open_tpm = [this](const std::string& tcti) -> Result<std::unique_ptr<PcrReader>> {
          if (!has_tpm_) {
            return FileError(ErrorCode::kCannotCheck, tcti, "TPM: opening: no");
          }
          return std::unique_ptr<PcrReader>(new imasnap::testing::FakeTpm(&world_.kernel));
        },
        .reset_count =
            [this](const std::string&) {
              ++asked_reset_count_;
              return world_.reset_count;
            }};
    const int code = RunApp(args, host);
    return {code, out.str(), err.str()};
  }
  Ran RunJson(const std::vector<std::string>& args) { return Run(AndJson(args)); }

  imasnap::testing::World world_;
  bool has_tpm_ = true;
  bool out_is_full_ = false;
  int asked_reset_count_ = 0;
};

}  // namespace imasnap::cli

#endif  // IMASNAP_TESTS_CLI_FIXTURE_H_
