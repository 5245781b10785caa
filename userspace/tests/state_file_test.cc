// SPDX-License-Identifier: GPL-2.0-or-later
//
// The file of a state: its format, its seal, its owner and mode.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "checkpoint_fixture.h"

namespace imasnap {
namespace {

using testing::kFile;

constexpr std::string_view kKey = "sixteen bytes ok";

class StateFileTest : public testing::CheckpointTest {};

TEST_F(StateFileTest, FileComesBackAsItWasWritten) {
  state_.quotes["000b1122"] = {.reset_count = 7, .restart_count = 1, .clock = 123456789012345};
  for (const std::string_view key : {std::string_view(), kKey}) {
    ASSERT_TRUE(SaveState(world_.fs, kFile, key, state_).ok());
    EXPECT_EQ(world_.fs.Find(kFile)->mode, 0600U);
    EXPECT_EQ(world_.fs.Find("/state.tmp"), nullptr);
    const auto read = LoadState(world_.fs, kFile, key, 0);
    ASSERT_TRUE(read.ok()) << read.error().ToString();
    EXPECT_EQ(**read, state_);
  }
  const auto none = LoadState(world_.fs, "/none", "", 0);
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(*none);
}

TEST_F(StateFileTest, EveryByteChangedCutOffOrAddedIsRefused) {
  for (const std::string_view key : {std::string_view(), kKey}) {
    ASSERT_TRUE(SaveState(world_.fs, kFile, key, state_).ok());
    const std::string good = world_.fs.Read(kFile).value();
    // Of these, what a change does to the seal decides.
    const std::set<Cause> causes =
        key.empty() ? std::set<Cause>{Cause::kTruncated, Cause::kStateDamaged, Cause::kStateWithKey}
                    : std::set<Cause>{Cause::kTruncated, Cause::kStateForged};
    const auto expect_refused = [&](const std::string& text, size_t at) {
      world_.fs.Write("/changed", text);
      const auto read = LoadState(world_.fs, "/changed", key, 0);
      ASSERT_FALSE(read.ok()) << at;
      EXPECT_EQ(read.error().code, ErrorCode::kCannotCheck);
      EXPECT_TRUE(causes.contains(read.error().cause)) << read.error().ToString();
    };
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
      expect_refused(bad, i);
      expect_refused(good.substr(0, i), i);
    }
    expect_refused(good + "\n", good.size());
    expect_refused(good + good, good.size());
  }
}

TEST_F(StateFileTest, KeyIsNeededAndMustBeTheSame) {
  ASSERT_TRUE(SaveState(world_.fs, kFile, kKey, state_).ok());
  auto read = LoadState(world_.fs, kFile, "another sixteen bytes", 0);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().cause, Cause::kStateForged);
  read = LoadState(world_.fs, kFile, "", 0);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().cause, Cause::kStateWithKey);
  ASSERT_TRUE(SaveState(world_.fs, kFile, "", state_).ok());
  read = LoadState(world_.fs, kFile, kKey, 0);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().cause, Cause::kStateWithoutKey);
}

TEST_F(StateFileTest, FilesOfOthersAreRefused) {
  ASSERT_TRUE(SaveState(world_.fs, kFile, "", state_).ok());
  EXPECT_EQ(LoadState(world_.fs, kFile, "", 1000).error().cause, Cause::kWrongOwner);
  for (const uint32_t mode : {0620U, 0602U}) {
    world_.fs.Find(kFile)->mode = mode;
    const auto read = LoadState(world_.fs, kFile, "", 0);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, ErrorCode::kCannotCheck);
    EXPECT_EQ(read.error().cause, Cause::kWrongMode);
  }
  world_.fs.Write("/key", kKey);
  EXPECT_FALSE(LoadStateKey(world_.fs, "/key", 0).ok()) << "mode 0644";
  world_.fs.Find("/key")->mode = 0400;
  EXPECT_EQ(LoadStateKey(world_.fs, "/key", 0).value(), kKey);
  EXPECT_FALSE(LoadStateKey(world_.fs, "/key", 1000).ok());
  world_.fs.Find("/key")->data.pop_back();
  EXPECT_FALSE(LoadStateKey(world_.fs, "/key", 0).ok()) << "15 bytes";
}

TEST_F(StateFileTest, WhatIsNotAFileIsRefusedAndStays) {
  world_.fs.MakeAll("/directory");
  ASSERT_TRUE(world_.fs.Symlink("/elsewhere", "/link").ok());
  for (const char* path : {"/directory", "/link"}) {
    const auto lock = LockState(world_.fs, path, 0);
    ASSERT_FALSE(lock.ok());
    EXPECT_EQ(lock.error().code, ErrorCode::kCannotCheck);
    EXPECT_EQ(lock.error().cause,
              path == std::string("/link") ? Cause::kSymbolicLink : Cause::kNotRegularFile);
    EXPECT_EQ(lock.error().file, path);
    EXPECT_EQ(world_.fs.Find(std::string(path) + ".lock"), nullptr);
  }
}

TEST_F(StateFileTest, LockIsTheCallersOwnAndOneHasIt) {
  const auto lock = LockState(world_.fs, kFile, 0);
  ASSERT_TRUE(lock.ok()) << lock.error().ToString();
  EXPECT_EQ(world_.fs.Find("/state.lock")->mode, 0600U);
  const auto second = LockState(world_.fs, kFile, 0);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kLocked);
  EXPECT_TRUE(LockState(world_.fs, "/other", 0).ok());
  world_.fs.Find("/other.lock")->owner = 1000;
  const auto foreign = LockState(world_.fs, "/other", 0);
  ASSERT_FALSE(foreign.ok());
  EXPECT_EQ(foreign.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(foreign.error().cause, Cause::kWrongOwner);
  EXPECT_EQ(foreign.error().file, "/other.lock");
  world_.fs.read_only = true;
  const auto none = LockState(world_.fs, "/new", 0);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(*none, nullptr);
}

TEST_F(StateFileTest, FileThatIsFarTooLargeIsRefused) {
  world_.fs.Write(kFile, std::string((1U << 20) + 1, ' '));
  const auto read = LoadState(world_.fs, kFile, "", 0);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(read.error().cause, Cause::kTooLarge);
}

TEST_F(StateFileTest, ParserTakesOneFormOnly) {
  const std::string good = FormatCheckpoint(state_);
  EXPECT_EQ(ParseCheckpoint(good, kFile).value(), state_);
  const auto with = [&good](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const std::string& bad : {std::string(),
                                 std::string("[]\n"),
                                 good + " ",
                                 " " + good,
                                 with(",", ", "),
                                 with("\"format\":1", "\"format\":2"),
                                 with("\"format\":1", "\"format\":\"1\""),
                                 with("\"segment\":2", "\"segment\":-2"),
                                 with("\"segment\":2", "\"segment\":2.0"),
                                 with("\"segment\":2", "\"segment\":0"),
                                 with("\"segment\":2,", ""),
                                 with("\"attempt\":2", "\"attempt\":0"),
                                 with("\"banks\":[", "\"banks\":[1,"),
                                 with("\"quotes\":{}", "\"quotes\":[]"),
                                 with("\"quotes\":{}", "\"quotes\":{},\"x\":1"),
                                 with("\"quotes\":{}", "\"quotes\":{\"a\":{}}"),
                                 with("\"sha256\"", "\"sha257\""),
                                 with("\"11\":", "\"64\":"),
                                 with("\"11\":", "\"12\":"),
                                 with("\"11\":", "\"011\":")}) {
    const auto parsed = ParseCheckpoint(bad, kFile);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(parsed.error().code, ErrorCode::kMalformed);
    EXPECT_EQ(parsed.error().file, kFile);
  }
}

TEST_F(StateFileTest, NumbersAreWholeAndFit) {
  state_.quotes["key"] = {.reset_count = 5, .restart_count = 5, .clock = 5};
  const std::string text = FormatCheckpoint(state_);
  ASSERT_TRUE(ParseCheckpoint(text, kFile).ok());
  for (const std::string name : {"tpm_reset_count", "records", "segment", "aggregates",
                                 "violations", "attempt", "restart_count", "clock"}) {
    for (const char* number : {"-1", "1.0", "8e128", "18446744073709551616", "\"1\"", "true"}) {
      const size_t at = text.find("\"" + name + "\":") + name.size() + 3;
      std::string other = text;
      other.replace(at, text.find_first_of(",}", at) - at, number);
      EXPECT_FALSE(ParseCheckpoint(other, kFile).ok()) << name << ": " << number;
    }
  }
  for (const std::string name : {"tpm_reset_count", "restart_count"}) {
    const size_t at = text.find("\"" + name + "\":") + name.size() + 3;
    std::string other = text;
    other.replace(at, 1, "4294967301");  // 5 in its lower half
    EXPECT_FALSE(ParseCheckpoint(other, kFile).ok()) << name;
  }
}

// Between the look for the lock file and its making.
TEST_F(StateFileTest, LockThatAnotherMakesFirstIsTaken) {
  int opened = 0;
  world_.fs.on_call = [&](const std::string& call) {
    if (call == std::string("open ") + kFile + ".lock" && ++opened == 2) {
      world_.fs.Write(std::string(kFile) + ".lock", "");
    }
  };
  const auto lock = LockState(world_.fs, kFile, 0);
  world_.fs.on_call = {};
  EXPECT_EQ(opened, 3);
  ASSERT_TRUE(lock.ok()) << lock.error().ToString();
  const auto second = LockState(world_.fs, kFile, 0);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kLocked);
}

}  // namespace
}  // namespace imasnap
