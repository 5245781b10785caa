// SPDX-License-Identifier: GPL-2.0-or-later
//
// The program, run on a machine in memory.
#ifndef IMASNAP_TESTS_CLI_FIXTURE_H_
#define IMASNAP_TESTS_CLI_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "cli/app.h"
#include "world.h"

namespace imasnap::cli {

struct Ran {
  int code = -1;
  std::string out;
  std::string err;
};

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
    Ran ran;
    ran.code = RunApp(args, host);
    ran.out = out.str();
    ran.err = err.str();
    return ran;
  }

  imasnap::testing::World world_;
  bool has_tpm_ = true;
  bool out_is_full_ = false;
  int asked_reset_count_ = 0;
};

}  // namespace imasnap::cli

#endif  // IMASNAP_TESTS_CLI_FIXTURE_H_
