// SPDX-License-Identifier: GPL-2.0-or-later
//
// Errors in a command line are reported, and nothing is done.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cli_fixture.h"

namespace imasnap::cli {
namespace {

using imasnap::testing::kStore;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class UsageTest : public CliTest {};

TEST_F(UsageTest, UsageErrorsAreTwo) {
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {},
           {"frobnicate"},
           {"take", "--frob"},
           {"take", "extra"},
           {"show"},
           {"show", "7"},
           {"show", "-1"},
           {"cat", "--hash", "sha257"},
           {"cat", "--from", "0"},
           {"cat", "--ascii", "--json"},
           {"verify", "--tpm", "--pcrs", "/f"},
       }) {
    const Ran ran = Run(args);
    EXPECT_EQ(ran.code, 2) << ::testing::PrintToString(args);
    EXPECT_THAT(ran.err, ::testing::Not(IsEmpty()));
    EXPECT_THAT(ran.out, IsEmpty());
  }
  EXPECT_EQ(world_.kernel.attempts(), 0U);
}

TEST_F(UsageTest, WhatIsUnknownIsNamedBeforeWhatIsMissing) {
  for (const auto& [args, message] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{}, "A subcommand is required"},
           {{"frobnicate"}, "there is no command \"frobnicate\";"},
           {{"frobnicate", "--all", "3"}, "there is no command \"frobnicate\";"},
           {{"show", "--frob"}, "not expected: --frob;"},
           {{"ak"}, "A subcommand is required"},
           {{"ak", "destroy"}, "there is no command \"destroy\";"}}) {
    EXPECT_THAT(Run(args).err, HasSubstr(message));
  }
}

TEST_F(UsageTest, AMisspeltCommandIsAnsweredWithTheNearestOne) {
  for (const auto& [args, nearest] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"tkae"}, "take"}, {{"verfiy", "--tpm"}, "verify"}, {{"ak", "crate"}, "create"}}) {
    EXPECT_THAT(Run(args).err, HasSubstr("did you mean " + nearest + "?"));
  }
  for (const char* word : {"frobnicate", "x", "ls"}) {
    EXPECT_THAT(Run({word}).err, ::testing::Not(HasSubstr("did you mean")));
  }
}

TEST_F(UsageTest, HelpDoesNotListWhatAnOptionNeedsOrExcludes) {
  const std::string help = Run({"verify", "--help"}).out;
  EXPECT_THAT(help, HasSubstr("--from-dir DIR"));
  EXPECT_THAT(help, ::testing::Not(::testing::AnyOf(HasSubstr("Excludes"), HasSubstr("Needs"))));
}

TEST_F(UsageTest, TheHelpThatIsNamedIsTheCommands) {
  for (const auto& [args, help] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"frobnicate"}, "; see ima-snapshot --help\n"},
           {{"verify", "--pcrs", "a", "b"}, "b; see ima-snapshot verify --help\n"},
           {{"ak", "create", "--alg", "dsa"}, "; see ima-snapshot ak create --help\n"}}) {
    EXPECT_THAT(Run(args).err, EndsWith(help));
  }
}

TEST_F(UsageTest, AUsageErrorIsOneLineWithTheProgramsName) {
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {}, {"frobnicate"}, {"ak", "destroy"}, {"cat", "--from", "0"}, {"verify", "--pcrs"}}) {
    const std::string told = Run(args).err;
    EXPECT_THAT(told, StartsWith("ima-snapshot: ")) << ::testing::PrintToString(args);
    EXPECT_EQ(told.find('\n'), told.size() - 1) << told;
  }
}

// A script passes this if its variable is not set.
TEST_F(UsageTest, AnEmptyValueIsRefusedAndSwitchesNoCheckOff) {
  ASSERT_EQ(Run({"take"}).code, 0);
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {"verify", "--quote", "", "--sig", "/none", "--ak", "/none", "--nonce", "aa"},
           {"verify", "--from-dir", ""},
           {"verify", "--from-dir", kStore, "--live", ""},
           {"verify", "--pcrs", ""},
           {"verify", "--pcrs", "/pcrs", "--pcrs", ""},
           {"verify", "--tpm", "--state", ""},
           {"verify", "--tpm", "--state", "/state", "--state-key", ""},
           {"gc", "--state", ""},
           {"quote", "--nonce", "aa", "--json", "--pcrs", ""},
           {"take", "--store", ""},
           {"--tcti", "", "status"},
           {"--config", "", "status"},
           {"mount", ""},
           {"show", ""},
       }) {
    const Ran ran = Run(args);
    EXPECT_EQ(ran.code, 2) << ::testing::PrintToString(args);
    EXPECT_THAT(ran.err, HasSubstr("is empty"));
    EXPECT_THAT(ran.out, IsEmpty());
  }
  EXPECT_EQ(world_.kernel.attempts(), 1U);
  EXPECT_EQ(world_.fs.Find("/state"), nullptr);
}

TEST_F(UsageTest, ANumberIsDecimalWhateverZerosItBeginsWith) {
  world_.kernel.MeasureFiles(11);
  const std::string from_ten = Run({"cat", "--ascii", "--from", "10"}).out;
  EXPECT_EQ(std::ranges::count(from_ten, '\n'), 3);
  EXPECT_EQ(Run({"cat", "--ascii", "--from", "0010"}).out, from_ten);
  ASSERT_EQ(Run({"take"}).code, 0);
  for (const char* session : {"1", "00000001"}) {
    EXPECT_EQ(Run({"verify", "--from-dir", kStore, "--session", session}).code, 0);
  }
  EXPECT_EQ(Run({"verify", "--tpm", "--ima-pcr", "010"}).code, 0);
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {"verify", "--from-dir", kStore, "--session", "-18446744073709551615"},
           {"verify", "--from-dir", kStore, "--session", "0x1"},
           {"verify", "--tpm", "--ima-pcr", "24"},
           {"cat", "--from", "99999999999999999999"},
           {"cat", "--from", "1 2"},
       }) {
    const Ran ran = Run(args);
    EXPECT_EQ(ran.code, 2) << ::testing::PrintToString(args);
    EXPECT_THAT(ran.err, HasSubstr(fmt::format("\"{}\" is not a number from ", args.back())));
  }
}

}  // namespace
}  // namespace imasnap::cli
