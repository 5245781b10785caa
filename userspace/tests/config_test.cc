// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "fake_file_system.h"

namespace imasnap {
namespace {

using ::testing::AllOf;
using testing::FakeFileSystem;
using ::testing::HasSubstr;

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
  EXPECT_EQ(config.error().ToString(), kFile + ": is larger than 1048576 bytes");
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
  EXPECT_EQ(keys, 13);
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
  const char* message;
};
class BadConfigTest : public ::testing::TestWithParam<BadConfig> {};

TEST_P(BadConfigTest, IsRefusedWithFileAndKeyInTheFileAndInADropIn) {
  for (const std::string& file : {kFile, kFile + ".d/50-x.conf"}) {
    FakeFileSystem fs(nullptr);
    fs.Write(file, GetParam().text);
    auto config = LoadConfig(fs, kFile, false);
    ASSERT_FALSE(config.ok());
    EXPECT_EQ(config.error().code, ErrorCode::kFailed);
    EXPECT_THAT(config.error().ToString(), AllOf(HasSubstr(file), HasSubstr(GetParam().message)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Texts, BadConfigTest,
    ::testing::Values(
        BadConfig{"UnknownKey", "mode = \"mark\"\nmax_record = 1\n",
                  "line 2: max_record: is not a key"},
        BadConfig{"Section", "mode = \"mark\"\n[store]\n", "line 2: store: must be a string"},
        BadConfig{"BrokenSection", "[&", "line 1: "},
        BadConfig{"List", "store = [\"/x\"]\n", "line 1: store: must be a string"},
        BadConfig{"DottedKey", "store.path = \"/x\"\n", "line 1: store: must be a string"},
        BadConfig{"KeyNotAscii", "mode = \"mark\"\r\n\u00e9 = 1\n", "line 2: "},
        BadConfig{"SpaceNotAscii", "keep_boots =\u0410 1\n", "line 1: "},
        BadConfig{"NotAsciiInNoString", "keep_boots = 1'\u0410'\n", "line 1: "},
        BadConfig{"NotUtf8", "keep_boots = 1 # \xff\n", "line 1: "},
        BadConfig{"TwoEquals", "keep_boots =='\u0410'\n", "line 1: "},
        BadConfig{"TwoValues", "mode = \"mark\" \"mark\"\n", "line 1: "},
        BadConfig{"Nul", std::string_view("mode\0", 5), "line 1: "},
        BadConfig{"NulInPath", "\nstore = \"/\\u0000\"\n", "line 2: store: must be an absolute"},
        BadConfig{"OpenString", "store = \"/x\\\"\n", "line 1: "},
        BadConfig{"Escape", "store = \"/\\q\"\n", "line 1: "},
        BadConfig{"Syntax", "mode = \n", "line 1"},
        BadConfig{"Twice", "keep_boots = 1\nkeep_boots = 2\n", "line 2"},
        BadConfig{"StoreType", "store = 1\n", "store: must be a string"},
        BadConfig{"StoreRelative", "store = \"var\"\n", "store: must be an absolute path"},
        BadConfig{"LockRelative", "lock_file = \"\"\n", "lock_file: must be an absolute path"},
        BadConfig{"Mode", "mode = \"drop\"\n", "mode: must be \"purge\" or \"mark\""},
        BadConfig{"ModeType", "mode = true\n", "mode: must be"},
        BadConfig{"Negative", "max_records = -1\n", "max_records: out of range"},
        BadConfig{"TooLarge", "max_records = 9223372036854775807\n", "max_records: out of range"},
        BadConfig{"RecordsUnit", "max_records = \"1K\"\n", "max_records: must be an integer"},
        BadConfig{"Float", "max_bytes = 1.5\n", "max_bytes: must be an integer"},
        BadConfig{"Unit", "max_bytes = \"1T\"\n", "max_bytes: \"1T\" is not a number"},
        BadConfig{"Overflow", "max_bytes = \"99999999999999999G\"\n", "max_bytes: out of range"},
        BadConfig{"OverflowIntoRange", "max_bytes = \"18014398509481985K\"\n",
                  "max_bytes: out of range"},
        BadConfig{"SmallUnit", "max_bytes = \"4m\"\n",
                  "line 1: max_bytes: \"4m\" is not a number with one of the units K, M, G"},
        BadConfig{"TimeUnit", "max_age = \"4M\"\n", "with one of the units s, m, h, d"},
        BadConfig{"SizeType", "max_bytes = true\n",
                  "max_bytes: must be an integer, or a string with one of the units K, M, G"},
        BadConfig{"WordWithoutQuotes", "keep_boots = 1\nmode = purge # x\nmax_age = 0\n",
                  "line 2: mode: text goes in quotes, \"purge\""},
        BadConfig{"UnitWithoutQuotes", "# x\n  max_bytes=4M\n",
                  "line 2: max_bytes: text goes in quotes, \"4M\""},
        BadConfig{"PathWithoutQuotes", "mount = view",
                  "line 1: mount: text goes in quotes, \"view\""},
        BadConfig{"Age", "max_age = \"2y\"\n", "max_age: \"2y\" is not a number"},
        BadConfig{"NoInterval", "check_interval = 0\n", "check_interval: out of range, 1 to 3600"},
        BadConfig{"LongInterval", "check_interval = \"2h\"\n", "check_interval: out of range"},
        BadConfig{"MountRelative", "mount = \"view\"\n", "mount: must be an absolute path"},
        BadConfig{"MountType", "mount = false\n", "mount: must be a string"},
        BadConfig{"KeepNone", "keep_boots = 0\n", "keep_boots: out of range, 1 to"},
        BadConfig{"Discard", "discard = \"always\"\n", "discard: must be"},
        BadConfig{"Bool", "allow_volatile = \"yes\"\n", "allow_volatile: must be true or false"}),
    [](const auto& p) { return p.param.name; });

TEST(ConfigTest, LockFileThatIsThereMustBeARegularFile) {
  FakeFileSystem fs(nullptr);
  fs.MakeAll("/run/lock/directory");
  fs.Write("/run/lock/file", "");
  ASSERT_TRUE(fs.Symlink("/run/lock/file", "/run/lock/link").ok());
  for (const std::string name : {"directory", "link"}) {
    fs.Write(kFile, "keep_boots = 1\nlock_file = \"/run/lock/" + name + "\"\n");
    EXPECT_EQ(LoadConfig(fs, kFile, false).error().ToString(),
              kFile + ": line 2: lock_file: /run/lock/" + name + " is not a regular file");
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
  EXPECT_THAT(LoadConfig(fs, kFile, false).error().ToString(),
              HasSubstr(kFile + ": is owned by user 1000, not by root"));
  EXPECT_TRUE(LoadConfig(fs, kFile, false, 1000).ok());
  fs.Find(kFile)->owner = 0;
  for (uint32_t mode : {0664U, 0646U}) {
    fs.Find(kFile)->mode = mode;
    EXPECT_THAT(LoadConfig(fs, kFile, false).error().ToString(),
                HasSubstr("may be written by others"));
  }
  fs.Find(kFile)->mode = 0600;
  EXPECT_TRUE(LoadConfig(fs, kFile, false).ok());
  fs.Write(kFile + ".d/a.conf", "");
  fs.Find(kFile + ".d/a.conf")->owner = 1;
  EXPECT_THAT(LoadConfig(fs, kFile, false).error().ToString(), HasSubstr("a.conf: is owned"));
}

}  // namespace
}  // namespace imasnap
