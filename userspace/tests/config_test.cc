// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "fake_file_system.h"

namespace imasnap {
namespace {

using testing::FakeFileSystem;

const std::string kFile = kDefaultConfigFile;

TEST(ConfigTest, AbsentFileGivesTheDefaultsUnlessItWasNamed) {
  FakeFileSystem fs(nullptr);
  auto config = LoadConfig(fs, kFile, false);
  ASSERT_TRUE(config.ok()) << config.error().ToString();
  EXPECT_EQ(config->store, "/var/lib/ima-snapshot");
  EXPECT_EQ(config->lock_file, "/run/lock/ima-snapshot.lock");
  EXPECT_EQ(config->mode, SnapshotMode::kPurge);
  EXPECT_EQ(config->max_records, 10000U);
  EXPECT_EQ(config->max_bytes, 4U << 20);
  EXPECT_FALSE(config->max_age_seconds);
  EXPECT_EQ(config->check_interval_seconds, 5U);
  EXPECT_EQ(config->mount, "");
  EXPECT_EQ(config->discard, Discard::kNever);
  EXPECT_TRUE(config->final_snapshot);
  EXPECT_FALSE(config->allow_volatile);
  EXPECT_FALSE(config->allow_gap);
  EXPECT_FALSE(LoadConfig(fs, kFile, true).ok());
}

TEST(ConfigTest, FileThatIsFarTooLargeIsRefused) {
  FakeFileSystem fs(nullptr);
  fs.Write(kFile, std::string((1U << 20) + 1, '\n'));
  const auto config = LoadConfig(fs, kFile, true);
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().code, ErrorCode::kFailed);
  EXPECT_EQ(config.error().cause, Cause::kTooLarge);
  EXPECT_EQ(config.error().file, kFile);
}

TEST(ConfigTest, ReadsEveryKey) {
  FakeFileSystem fs(nullptr);
  fs.Write(kFile, R"(store = "/data/ima/"
lock_file = "/run/ima.lock"
mode = "mark"
max_records = 1000
max_bytes = "64M"
max_age = "12h"
check_interval = "2m"
mount = "/run/ima-snapshot/view"
min_free_space = 4096
keep_boots = 7
discard = "verified"
final_snapshot = false
allow_volatile = true
allow_gap = true
)");
  auto config = LoadConfig(fs, kFile, true);
  ASSERT_TRUE(config.ok()) << config.error().ToString();
  EXPECT_EQ(config->store, "/data/ima");
  EXPECT_EQ(config->lock_file, "/run/ima.lock");
  EXPECT_EQ(config->mode, SnapshotMode::kMark);
  EXPECT_EQ(config->max_records, 1000U);
  EXPECT_EQ(config->max_bytes, 64U << 20);
  EXPECT_EQ(config->max_age_seconds, 12U * 3600);
  EXPECT_EQ(config->check_interval_seconds, 120U);
  EXPECT_EQ(config->mount, "/run/ima-snapshot/view");
  EXPECT_EQ(config->min_free_space, 4096U);
  EXPECT_EQ(config->keep_boots, 7U);
  EXPECT_EQ(config->discard, Discard::kVerified);
  EXPECT_FALSE(config->final_snapshot);
  EXPECT_TRUE(config->allow_volatile);
  EXPECT_TRUE(config->allow_gap);
}

TEST(ConfigTest, ZeroSwitchesALimitOffAndAnEmptyMountTheView) {
  FakeFileSystem fs(nullptr);
  fs.Write(kFile, "mount = \"/view\"\nmax_age = 10\n");
  fs.Write(kFile + ".d/50-off.conf",
           "max_records = 0\nmax_bytes = \"0\"\nmax_age = 0\nmount = \"\"\n");
  auto config = LoadConfig(fs, kFile, true);
  ASSERT_TRUE(config.ok()) << config.error().ToString();
  EXPECT_FALSE(config->max_records);
  EXPECT_FALSE(config->max_bytes);
  EXPECT_FALSE(config->max_age_seconds);
  EXPECT_EQ(config->mount, "");
}

TEST(ConfigTest, InstalledFileNamesEveryKeyWithItsDefault) {
  std::ifstream file(IMASNAP_EXAMPLE_CONFIG);
  std::string commented;
  std::string values;
  int keys = 0;
  for (std::string line; std::getline(file, line);) {
    commented += line + "\n";
    if (line.starts_with("#") && !line.starts_with("# ") && line != "#") {
      values += line.substr(1) + "\n";
      ++keys;
    }
  }
  EXPECT_EQ(keys, 14);
  for (const std::string& text : {commented, values}) {
    FakeFileSystem fs(nullptr);
    fs.Write(kFile, text);
    auto config = LoadConfig(fs, kFile, true);
    ASSERT_TRUE(config.ok()) << config.error().ToString();
    EXPECT_EQ(*config, Config{});
  }
}

TEST(ConfigTest, DropInsFollowInTheOrderOfTheirNames) {
  FakeFileSystem fs(nullptr);
  fs.Write(kFile, "keep_boots = 1\nmax_records = 1\n");
  fs.Write(kFile + ".d/20-b.conf", "keep_boots = 20\n");
  fs.Write(kFile + ".d/10-a.conf", "keep_boots = 10\nmode = \"mark\"\n");
  fs.Write(kFile + ".d/30-c.conf.bak", "keep_boots = 30\n");
  fs.Write(kFile + ".d/.hidden.conf", "keep_boots = 40\nmax_records = 40\n");
  auto config = LoadConfig(fs, kFile, false);
  ASSERT_TRUE(config.ok()) << config.error().ToString();
  EXPECT_EQ(config->keep_boots, 20U);
  EXPECT_EQ(config->max_records, 1U);
  EXPECT_EQ(config->mode, SnapshotMode::kMark);
}

TEST(ConfigTest, KeysAndStringsHaveEachFormOfToml) {
  FakeFileSystem fs(nullptr);
  fs.Write(kFile,
           "\"store\" = \"\"\"\\\n  /\u00a7\"\"\"\nmount = '''\n/x'''\n"
           "max_records = 1_000\nkeep_boots = 0x10\n");
  auto config = LoadConfig(fs, kFile, true);
  ASSERT_TRUE(config.ok()) << config.error().ToString();
  EXPECT_EQ(config->store, "/\u00a7");
  EXPECT_EQ(config->mount, "/x");
  EXPECT_EQ(config->max_records, 1000U);
  EXPECT_EQ(config->keep_boots, 16U);
}

TEST(ConfigTest, StringsAndCommentsMayHoldAnyCharacter) {
  FakeFileSystem fs(nullptr);
  fs.Write(kFile,
           "# \u00e9 [x] \" it's\nstore = \"/\u00e9#[x]\\\\\" # \u0410\n"
           "mount = '/\u0410\"'\r\nlock_file = \"/run/{l}\"");
  auto config = LoadConfig(fs, kFile, true);
  ASSERT_TRUE(config.ok()) << config.error().ToString();
  EXPECT_EQ(config->store, "/\u00e9#[x]\\");
  EXPECT_EQ(config->mount, "/\u0410\"");
  EXPECT_EQ(config->lock_file, "/run/{l}");
}

struct BadConfig {
  const char* name;
  std::string_view text;
  uint64_t line;
  std::string key;  // empty if the line does not set a key
  Cause cause;
};
class BadConfigTest : public ::testing::TestWithParam<BadConfig> {};

TEST_P(BadConfigTest, IsRefusedWithFileAndKeyInTheFileAndInADropIn) {
  for (const std::string& file : {kFile, kFile + ".d/50-x.conf"}) {
    FakeFileSystem fs(nullptr);
    fs.Write(file, GetParam().text);
    auto config = LoadConfig(fs, kFile, false);
    ASSERT_FALSE(config.ok());
    EXPECT_EQ(config.error().code, ErrorCode::kFailed);
    EXPECT_EQ(config.error().file, file);
    EXPECT_EQ(config.error().line, GetParam().line);
    EXPECT_EQ(config.error().key, GetParam().key);
    EXPECT_EQ(config.error().cause, GetParam().cause) << config.error().message;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Texts, BadConfigTest,
    ::testing::Values(
        BadConfig{"UnknownKey", "mode = \"mark\"\nmax_record = 1\n", 2, "max_record",
                  Cause::kUnknownName},
        BadConfig{"Section", "mode = \"mark\"\n[store]\n", 2, "store", Cause::kWrongType},
        BadConfig{"BrokenSection", "[&", 1, "", Cause::kSyntax},
        BadConfig{"List", "store = [\"/x\"]\n", 1, "store", Cause::kWrongType},
        BadConfig{"DottedKey", "store.path = \"/x\"\n", 1, "store", Cause::kWrongType},
        BadConfig{"KeyNotAscii", "mode = \"mark\"\r\n\u00e9 = 1\n", 2, "", Cause::kSyntax},
        BadConfig{"SpaceNotAscii", "keep_boots =\u0410 1\n", 1, "", Cause::kSyntax},
        BadConfig{"NotAsciiInNoString", "keep_boots = 1'\u0410'\n", 1, "", Cause::kSyntax},
        BadConfig{"NotUtf8", "keep_boots = 1 # \xff\n", 1, "", Cause::kSyntax},
        BadConfig{"TwoEquals", "keep_boots =='\u0410'\n", 1, "", Cause::kSyntax},
        BadConfig{"TwoValues", "mode = \"mark\" \"mark\"\n", 1, "", Cause::kSyntax},
        BadConfig{"Nul", std::string_view("mode\0", 5), 1, "", Cause::kSyntax},
        BadConfig{"NulInPath", "\nstore = \"/\\u0000\"\n", 2, "store", Cause::kSyntax},
        BadConfig{"OpenString", "store = \"/x\\\"\n", 1, "", Cause::kSyntax},
        BadConfig{"Escape", "store = \"/\\q\"\n", 1, "", Cause::kSyntax},
        BadConfig{"Syntax", "mode = \n", 1, "", Cause::kSyntax},
        BadConfig{"Twice", "keep_boots = 1\nkeep_boots = 2\n", 2, "", Cause::kSyntax},
        BadConfig{"StoreType", "store = 1\n", 1, "store", Cause::kWrongType},
        BadConfig{"StoreRelative", "store = \"var\"\n", 1, "store", Cause::kSyntax},
        BadConfig{"LockRelative", "lock_file = \"\"\n", 1, "lock_file", Cause::kSyntax},
        BadConfig{"Mode", "mode = \"drop\"\n", 1, "mode", Cause::kUnknownName},
        BadConfig{"ModeType", "mode = true\n", 1, "mode", Cause::kUnknownName},
        BadConfig{"Negative", "max_records = -1\n", 1, "max_records", Cause::kOutOfRange},
        BadConfig{"TooLarge", "max_records = 9223372036854775807\n", 1, "max_records",
                  Cause::kOutOfRange},
        BadConfig{"RecordsUnit", "max_records = \"1K\"\n", 1, "max_records", Cause::kWrongType},
        BadConfig{"Float", "max_bytes = 1.5\n", 1, "max_bytes", Cause::kWrongType},
        BadConfig{"Unit", "max_bytes = \"1T\"\n", 1, "max_bytes", Cause::kNotDecimal},
        BadConfig{"Overflow", "max_bytes = \"99999999999999999G\"\n", 1, "max_bytes",
                  Cause::kOutOfRange},
        BadConfig{"OverflowIntoRange", "max_bytes = \"18014398509481985K\"\n", 1, "max_bytes",
                  Cause::kOutOfRange},
        BadConfig{"SmallUnit", "max_bytes = \"4m\"\n", 1, "max_bytes", Cause::kNotDecimal},
        BadConfig{"TimeUnit", "max_age = \"4M\"\n", 1, "max_age", Cause::kNotDecimal},
        BadConfig{"SizeType", "max_bytes = true\n", 1, "max_bytes", Cause::kWrongType},
        BadConfig{"WordWithoutQuotes", "keep_boots = 1\nmode = purge # x\nmax_age = 0\n", 2, "mode",
                  Cause::kNotQuoted},
        BadConfig{"UnitWithoutQuotes", "# x\n  max_bytes=4M\n", 2, "max_bytes", Cause::kNotQuoted},
        BadConfig{"PathWithoutQuotes", "mount = view", 1, "mount", Cause::kNotQuoted},
        BadConfig{"Age", "max_age = \"2y\"\n", 1, "max_age", Cause::kNotDecimal},
        BadConfig{"NoInterval", "check_interval = 0\n", 1, "check_interval", Cause::kOutOfRange},
        BadConfig{"LongInterval", "check_interval = \"2h\"\n", 1, "check_interval",
                  Cause::kOutOfRange},
        BadConfig{"MountRelative", "mount = \"view\"\n", 1, "mount", Cause::kSyntax},
        BadConfig{"MountType", "mount = false\n", 1, "mount", Cause::kWrongType},
        BadConfig{"KeepNone", "keep_boots = 0\n", 1, "keep_boots", Cause::kOutOfRange},
        BadConfig{"Discard", "discard = \"always\"\n", 1, "discard", Cause::kUnknownName},
        BadConfig{"Bool", "allow_volatile = \"yes\"\n", 1, "allow_volatile", Cause::kWrongType}),
    [](const auto& p) { return p.param.name; });

TEST(ConfigTest, LockFileThatIsThereMustBeARegularFile) {
  FakeFileSystem fs(nullptr);
  fs.MakeAll("/run/lock/directory");
  fs.Write("/run/lock/file", "");
  ASSERT_TRUE(fs.Symlink("/run/lock/file", "/run/lock/link").ok());
  for (const std::string name : {"directory", "link"}) {
    fs.Write(kFile, "keep_boots = 1\nlock_file = \"/run/lock/" + name + "\"\n");
    const auto config = LoadConfig(fs, kFile, false);
    ASSERT_FALSE(config.ok());
    EXPECT_EQ(config.error().cause, Cause::kNotRegularFile);
    EXPECT_EQ(config.error().file, kFile);
    EXPECT_EQ(config.error().line, 2U);
    EXPECT_EQ(config.error().key, "lock_file");
  }
  for (const std::string name : {"file", "none", "none/none"}) {
    fs.Write(kFile, "lock_file = \"/run/lock/" + name + "\"\n");
    EXPECT_TRUE(LoadConfig(fs, kFile, false).ok()) << name;
  }
}

TEST(ConfigTest, FileThatOthersOwnOrMayWriteIsRefused) {
  FakeFileSystem fs(nullptr);
  fs.Write(kFile, "keep_boots = 1\n");
  fs.Find(kFile)->owner = 1000;
  const auto refused = [&fs](const std::string& file) {
    const auto config = LoadConfig(fs, kFile, false);
    EXPECT_FALSE(config.ok());
    EXPECT_EQ(config.error().file, file);
    return config.error().cause;
  };
  EXPECT_EQ(refused(kFile), Cause::kWrongOwner);
  EXPECT_TRUE(LoadConfig(fs, kFile, false, 1000).ok());
  fs.Find(kFile)->owner = 0;
  for (uint32_t mode : {0664U, 0646U}) {
    fs.Find(kFile)->mode = mode;
    EXPECT_EQ(refused(kFile), Cause::kWrongMode);
  }
  fs.Find(kFile)->mode = 0600;
  EXPECT_TRUE(LoadConfig(fs, kFile, false).ok());
  fs.Write(kFile + ".d/a.conf", "");
  fs.Find(kFile + ".d/a.conf")->owner = 1;
  EXPECT_EQ(refused(kFile + ".d/a.conf"), Cause::kWrongOwner);
}

}  // namespace
}  // namespace imasnap
