// SPDX-License-Identifier: GPL-2.0-or-later
//
// The program, run on a machine in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli_fixture.h"
#include "kernel/kernel_files.h"
#include "log/record_format.h"

namespace imasnap::cli {
namespace {

using imasnap::testing::kStore;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Json = nlohmann::json;

TEST_F(CliTest, TakesListsShowsCatsAndVerifies) {
  world_.kernel.MeasureFiles(6);
  Ran ran = Run({"take"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("segment 00000001: attempt 1, records 1-7"));
  EXPECT_THAT(ran.err, IsEmpty());
  world_.kernel.MeasureFiles(2);

  ran = Run({"list"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, ContainsRegex("00000001 +1 +1-7 +7 .*2026-01-02T03:04:05Z purged"));

  ran = Run({"show", "1"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(std::ranges::count(ran.out, '\n'), 7);
  ran = Run({"show", "live"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, ContainsRegex("       8 10 .*snapshot_aggregate "
                                     "Snapshot_Attempt_Count=1;sha1:PCR0:0x"));

  ran = Run({"cat"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, std::string(AsText(world_.kernel.Everything())));

  ran = Run({"verify", "--tpm"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("OK          the log matches the PCRs at record 10\n"));
  ran = RunJson({"verify"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.json["ok"], true);
  EXPECT_TRUE(ran.json["matched_record"].is_null());

  ran = RunJson({"status"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.json["backend"], "snapshot");
  EXPECT_EQ(ran.json["kernel"]["records"], 3);
  EXPECT_EQ(ran.json["kernel"]["attempts"], 1);
  EXPECT_EQ(ran.json["kernel"]["purges"], 1);
  EXPECT_EQ(ran.json["lock"], "free");
  EXPECT_EQ(Run({"status"}).code, 0);
}

TEST_F(CliTest, CatWritesTheKernelsFormats) {
  world_.kernel.MeasureFiles(6);
  ASSERT_EQ(Run({"take"}).code, 0);
  // SHA-256 headers, from the third record on, in both formats.
  std::string ascii;
  Bytes binary;
  const Bytes all = world_.kernel.Everything();
  SpanSource source(all);
  LogReader reader(source, {}, "all");
  while (const Record* record = reader.Next().value()) {
    if (record->number < 3) {
      continue;
    }
    Digest digest = Digest::Filled(32, std::byte{0});
    if (!record->IsViolation()) {
      digest = imasnap::testing::HashOf(HashAlg::kSha256, record->template_data);
    }
    AppendAscii(*record, digest.view(), &ascii);
    AppendBinary(*record, digest.view(), &binary);
  }
  Ran ran = Run({"cat", "--ascii", "--hash", "sha256", "--from", "3"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, ascii);
  ran = Run({"cat", "--hash", "sha256", "--from", "3"});
  EXPECT_EQ(ran.out, std::string(AsText(binary)));
  ran = Run({"-v", "cat", "--from", "1000"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_FALSE(ran.err.empty());
}

TEST_F(CliTest, EveryCommandPrintsJson) {
  world_.kernel.MeasureFiles(6);
  const Json take = Json::parse(Run({"take", "--json"}).out);
  EXPECT_EQ(take["attempt"], 1);
  EXPECT_EQ(take["segment"]["records"], 7);
  EXPECT_EQ(take["segment"]["purged"], true);
  const Json mark = Json::parse(Run({"--json", "take", "--mark"}).out);
  EXPECT_EQ(mark["attempt"], 2);
  EXPECT_EQ(mark["marked_only"], true);
  const Json list = Json::parse(Run({"list", "--json"}).out);
  ASSERT_EQ(list["segments"].size(), 1U);
  EXPECT_EQ(list["segments"][0]["last_record"], 7);
  const Json status = Json::parse(Run({"status", "--json"}).out);
  EXPECT_EQ(status["backend"], "snapshot");
  EXPECT_EQ(status["kernel"]["attempts"], 2);
  EXPECT_EQ(status["store"]["segments"], 1);
  EXPECT_EQ(status["store"]["last"]["segment"], 1);
  const Json verify = Json::parse(Run({"verify", "--tpm", "--json"}).out);
  EXPECT_EQ(verify["ok"], true);
  EXPECT_EQ(verify["matched_record"], 9);
  EXPECT_EQ(verify["banks"]["sha256"]["compared"], true);
  EXPECT_EQ(verify["banks"]["sha256"]["pcrs"]["10"], world_.kernel.Pcrs()["sha256"][10].Hex());
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"show", "1", "--json"}, {"cat", "--json"}}) {
    std::istringstream lines(Run(args).out);
    std::string line;
    uint64_t number = 0;
    while (std::getline(lines, line)) {
      const Json record = Json::parse(line);
      EXPECT_EQ(record["record"], ++number);
      EXPECT_EQ(record["violation"], record["digest"] == std::string(40, '0'));
      EXPECT_TRUE(record["fields"].contains("n-ng"));
    }
    EXPECT_EQ(number, args[0] == "show" ? 7U : 9U);
  }
}

TEST_F(CliTest, ShowOfASegmentNeedsNoKernel) {
  world_.kernel.MeasureFiles(2);
  ASSERT_EQ(Run({"take"}).code, 0);
  const Ran shown = Run({"show", "1"});
  EXPECT_EQ(shown.code, 0);
  const Ran elsewhere = Run({"--securityfs", "/nowhere", "show", "1"});
  EXPECT_EQ(elsewhere.code, 0) << elsewhere.err;
  EXPECT_EQ(elsewhere.out, shown.out);
}

// The owner of a file can give it any name.
TEST_F(CliTest, ShowEscapesWhatATerminalWouldTakeForMore) {
  const std::string name = std::string(100, 'x') + "\n      99 10 forged\x1b[31m";
  world_.kernel.Measure(imasnap::testing::NgRecord(name));
  const Ran ran = Run({"show", "live"});
  EXPECT_EQ(std::ranges::count(ran.out, '\n'), 2);  // the boot_aggregate's and its own
  EXPECT_THAT(ran.out, HasSubstr("x\\x0a      99 10 forged\\x1b[31m\n"));
}

TEST_F(CliTest, HelpAndVersionAreZero) {
  Ran ran = Run({"--help"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("Examples:"), HasSubstr("75 locked")));
  ran = Run({"--version"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, StartsWith("ima-snapshot "));
}

TEST_F(CliTest, MismatchIsThreeAndNamesThePlace) {
  world_.kernel.MeasureFiles(6);
  ASSERT_EQ(Run({"take"}).code, 0);
  world_.fs.Find(world_.SegmentPath(1) + ".ima")->data[7] ^= std::byte{1};
  Ran ran = Run({"verify", "--tpm"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_THAT(ran.out, HasSubstr("MISMATCH    in segment 00000001, record 1, bank sha1"));
  EXPECT_TRUE(
      ran.err.starts_with("ima-snapshot: " + world_.SegmentPath(1) + ".ima: record 1 (offset 0): "))
      << ran.err;
  ran = RunJson({"verify"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["code"], "mismatch");
  EXPECT_EQ(ran.error["cause"], "template_digest");
  EXPECT_EQ(ran.error["file"], world_.SegmentPath(1) + ".ima");
  EXPECT_EQ(ran.error["record"], 1);
  EXPECT_EQ(ran.error["offset"], 0);
  const Json json = ran.json;
  EXPECT_EQ(json["mismatch"]["cause"], "template_digest");
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["mismatch"]["segment"], 1);
  EXPECT_EQ(json["mismatch"]["record"], 1);
  EXPECT_EQ(json["mismatch"]["bank"], "sha1");
}

TEST_F(CliTest, CatOfALogThatDoesNotGoOnIsThreeAndWritesNothing) {
  world_.kernel.MeasureFiles(6);
  ASSERT_EQ(Run({"take"}).code, 0);
  ASSERT_EQ(Run({"take"}).code, 0);
  world_.fs.Remove(world_.SegmentPath(1) + ".ima");
  const Ran ran = RunJson({"cat"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_EQ(ran.error["cause"], "segment_missing");
  EXPECT_EQ(ran.error["segment"], 1);
}

TEST_F(CliTest, CatOfALogWithoutItsBeginningIsThreeUnlessALaterRecordIsAskedFor) {
  world_.kernel.MeasureFiles(6);
  ASSERT_EQ(Run({"take"}).code, 0);
  for (const std::vector<std::string>& format :
       std::vector<std::vector<std::string>>{{}, {"--ascii"}, {"--json"}, {"--hash", "sha256"}}) {
    std::vector<std::string> args = {"--store", "/typo", "cat"};
    args.insert(args.end(), format.begin(), format.end());
    const Ran ran = Run(args);
    EXPECT_EQ(ran.code, 3);
    EXPECT_THAT(ran.out, IsEmpty());
    if (format == std::vector<std::string>{"--json"}) {
      EXPECT_EQ(ran.error["cause"], "beginning_missing");
    }
    args.insert(args.end(), {"--from", "2"});
    EXPECT_EQ(Run(args).code, 0);
  }
}

TEST_F(CliTest, StoreOfTheCommandLineMayBeRelativeAndNotEmpty) {
  const std::string here = std::filesystem::current_path();
  EXPECT_EQ(Run({"--store", "new/store/", "take"}).code, 0);
  EXPECT_TRUE(world_.fs.Find(here + "/new/store/boots/00000001/00000001.ima"));
  const Ran ran = Run({"--store", "", "take"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(world_.fs.Find("/boots"), nullptr);
  EXPECT_EQ(world_.kernel.attempts(), 1U);
}

TEST_F(CliTest, WithoutAReferenceItIsFour) {
  has_tpm_ = false;
  const Ran ran = RunJson({"verify", "--tpm", "--tcti", "device:/none"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["code"], "cannot_check");
  EXPECT_EQ(ran.error["file"], "device:/none");
  EXPECT_EQ(Run({"verify", "--pcrs", "/no/such/file"}).code, 4);
  world_.fs.Write("/pcrs", "nonsense");
  EXPECT_EQ(Run({"verify", "--pcrs", "/pcrs"}).code, 4);
  world_.fs.Write("/large", std::string((1U << 20) + 1, ' '));
  EXPECT_EQ(Run({"verify", "--pcrs", "/large"}).code, 4);
  EXPECT_EQ(Run({"verify", "--securityfs", "/nowhere"}).code, 4);
}

TEST_F(CliTest, VerifyOfAStoreWhoseMetadataAreGarbledIsFour) {
  ASSERT_EQ(Run({"take"}).code, 0);
  world_.fs.Write(imasnap::testing::kBoot1 + "/session.json", "{}");
  const Ran ran = RunJson({"verify", "--tpm"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["file"], imasnap::testing::kBoot1 + "/session.json");
}

TEST_F(CliTest, VerifiesAgainstPcrFiles) {
  world_.kernel.MeasureFiles(6);
  ASSERT_EQ(Run({"take"}).code, 0);
  const PcrValues pcrs = world_.kernel.Pcrs();
  std::string yaml;
  for (const auto& [bank, values] : pcrs) {
    yaml += "  " + bank + ":\n";
    for (const auto& [pcr, value] : values) {
      yaml += "    " + std::to_string(pcr) + ": 0x" + ToHexUpper(value.view()) + "\n";
    }
  }
  world_.fs.Write("/yaml", yaml);
  world_.fs.Write("/sha1", "PCR-10: " + pcrs.at("sha1").at(10).Hex() + "\n");
  world_.fs.Write("/sha256", "PCR-10: " + pcrs.at("sha256").at(10).Hex() + "\n");
  EXPECT_EQ(Run({"verify", "--pcrs", "/yaml"}).code, 0);
  EXPECT_EQ(Run({"verify", "--pcrs", "/sha1", "--pcrs", "/sha256"}).code, 0);
  EXPECT_EQ(Run({"verify", "--pcrs", "/sha1", "--pcrs", "/yaml"}).code, 4);
  world_.fs.Write("/more", yaml + "  sha256:\n  shake256:\n    10: 0x01\n");
  const Ran more = RunJson({"verify", "--pcrs", "/more"});
  EXPECT_EQ(more.code, 0) << more.err;
  EXPECT_EQ(more.json["unchecked_banks"], Json::array({"shake256"}));
  world_.fs.Write("/wrong", "PCR-10: " + std::string(64, '0') + "\n");
  const Ran ran = RunJson({"verify", "--pcrs", "/wrong"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "pcr_mismatch");
  EXPECT_EQ(ran.error["bank"], "sha256");
  EXPECT_EQ(ran.error["pcr"], 10);
}

TEST_F(CliTest, LockHeldByAnotherIs75ForEveryCommandThatTakesIt) {
  world_.kernel.MeasureFiles(6);
  ASSERT_EQ(Run({"take"}).code, 0);
  const auto lock = AcquireLock(world_.Env(), LockMode::kExclusive);
  ASSERT_TRUE(lock.ok());
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {"take"}, {"take", "--mark"}, {"list"}, {"show", "1"}, {"cat"}, {"verify"}}) {
    const Ran ran = RunJson(args);
    EXPECT_EQ(ran.code, 75) << args[0];
    EXPECT_EQ(ran.error["code"], "locked");
    EXPECT_EQ(ran.error["file"], "/run/lock/ima-snapshot.lock");
  }
  const Ran status = RunJson({"status"});
  EXPECT_EQ(status.code, 0);
  EXPECT_EQ(status.json["lock"], "held");
}

TEST_F(CliTest, FailuresAreOne) {
  world_.fs.Write("/etc/ima-snapshot.conf", "moode = 1\n");
  Ran ran = Run({"status"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_TRUE(ran.err.starts_with("ima-snapshot: /etc/ima-snapshot.conf: line 1: moode: "))
      << ran.err;
  EXPECT_EQ(Run({"status", "--config", "/none"}).code, 1);
  world_.fs.Write("/good", "mode = \"mark\"\n");
  ran = Run({"take", "--config", "/good"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(world_.kernel.attempts(), 1U);
  EXPECT_EQ(world_.kernel.purges(), 0U);
  world_.fs.Remove("/etc/ima-snapshot.conf");
  world_.kernel.has_snapshot_file = false;
  ran = RunJson({"take"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.error["cause"], "no_backend");
}

TEST_F(CliTest, StatusSaysWhichBackendAndWhy) {
  world_.kernel.has_snapshot_file = false;
  const Json none = RunJson({"status"}).json;
  EXPECT_EQ(none["backend"], "none");
  world_.kernel.has_staging = true;
  const Json staging = RunJson({"status"}).json;
  EXPECT_EQ(staging["backend"], "staging");
  const Ran ran = RunJson({"status", "--securityfs", "/nowhere"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.json["backend"], "none");
  for (const Json& other : {none, staging}) {
    EXPECT_NE(ran.json["why"], other["why"]);
  }
}

// The kernel formats a counter for each read.
TEST_F(CliTest, ACounterThatGetsAnotherDigitIsRead) {
  world_.kernel.MeasureFiles(8);  // and the boot_aggregate
  int reads = 0;
  world_.fs.on_call = [&](const std::string& call) {
    if (call == "read /sys/kernel/security/ima/runtime_measurements_count" && ++reads == 2) {
      world_.kernel.MeasureFiles(1);
    }
  };
  const Ran ran = RunJson({"status"});
  world_.fs.on_call = nullptr;
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["kernel"]["records"], 9);
}

TEST_F(CliTest, StatusHasTheSameMembersBeforeTheFirstSnapshot) {
  const Json before = Json::parse(Run({"status", "--json"}).out)["store"];
  ASSERT_EQ(Run({"take"}).code, 0);
  const Json after = Json::parse(Run({"status", "--json"}).out)["store"];
  for (const auto& [name, value] : after.items()) {
    EXPECT_TRUE(before.contains(name)) << name;
  }
}

TEST_F(CliTest, VerifyWithoutPcrsSaysWhatOnlyTheyChain) {
  world_.kernel.has_snapshot_file = false;
  world_.kernel.has_staging = true;
  world_.kernel.MeasureFiles(3);
  ASSERT_EQ(Run({"take"}).code, 0);
  EXPECT_EQ(RunJson({"verify"}).json["unchained_segments"], 0);  // nothing comes after it
  world_.kernel.MeasureFiles(3);
  ASSERT_EQ(Run({"take"}).code, 0);
  world_.kernel.MeasureFiles(3);
  EXPECT_THAT(Run({"verify"}).out, HasSubstr("not chained 2 segments"));
  EXPECT_EQ(RunJson({"verify"}).json["unchained_segments"], 2);
  EXPECT_EQ(RunJson({"verify", "--tpm"}).json["unchained_segments"], 2);
}

// Another program's purge: it keeps to no lock and stores the records elsewhere.
void PurgeElsewhere(imasnap::testing::FakeKernel* kernel) {
  auto file = std::move(*kernel->Open("snapshot", "snapshot", true));
  Bytes buffer(4096);
  while (file->Read(buffer).value() > 0) {
  }
  ASSERT_TRUE(file->WriteAll(AsBytes("1")).ok());
}

// The second pass sees a log without its beginning. Were records missing unnoticed in the
// first, it would end with a mismatch of the PCRs.
TEST_F(CliTest, VerifyWhoseListIsCutBeginsItsPassAgain) {
  world_.kernel.MeasureFiles(30);
  int reads = 0;
  int purges = 0;
  world_.fs.on_call = [&](const std::string& call) {
    if (call == "read /sys/kernel/security/ima/binary_runtime_measurements" && ++reads % 10 == 0 &&
        purges == 0) {
      ++purges;
      PurgeElsewhere(&world_.kernel);
      world_.kernel.MeasureFiles(30);
    }
  };
  const Ran ran = RunJson({"verify"});
  world_.fs.on_call = nullptr;
  EXPECT_EQ(ran.code, 3) << ran.err;
  EXPECT_EQ(purges, 1);
  EXPECT_EQ(ran.error["cause"], "beginning_missing") << ran.out;
}

TEST_F(CliTest, SegmentWithoutRecordsIsSaidToHaveNone) {
  world_.kernel.has_staging = true;  // beside the snapshot file
  world_.kernel.MeasureFiles(1);
  ASSERT_EQ(world_.kernel.Stage(), 0);
  const Ran ran = Run({"take"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(Run({"list"}).out, ContainsRegex("00000002 +1 +none +0 +0 "));
}

TEST_F(CliTest, OutputThatCannotBeWrittenDoesNotHideWhatWasTaken) {
  world_.kernel.MeasureFiles(6);
  out_is_full_ = true;
  Ran ran = Run({"take"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("standard output: could not be written; what was done "
                                 "anyway: segment 00000001: attempt 1, records 1-7, "));
  EXPECT_EQ(world_.kernel.purges(), 1U);
  ran = Run({"take", "--mark", "--json"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.error["cause"], "not_written");
  EXPECT_EQ(world_.kernel.attempts(), 2U);
  ran = RunJson({"list"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.error["cause"], "not_written");
}

TEST_F(CliTest, ReportsWhatItRepaired) {
  world_.kernel.MeasureFiles(6);
  ASSERT_EQ(Run({"take"}).code, 0);
  world_.fs.Write(world_.SegmentPath(2) + ".ima.tmp", "half");
  const Ran ran = RunJson({"take"});
  EXPECT_EQ(ran.code, 0);
  ASSERT_EQ(ran.json["notes"].size(), 1U);
  EXPECT_EQ(ran.err, "ima-snapshot: note: " + ran.json["notes"][0].get<std::string>() + "\n");
}

TEST_F(CliTest, TpmIsAskedOnceForItsResetCount) {
  world_.reset_count = 5;
  for (int snapshot = 1; snapshot <= 2; ++snapshot) {
    world_.kernel.MeasureFiles(3);
    ASSERT_EQ(Run({"take"}).code, 0);
    EXPECT_EQ(asked_reset_count_, snapshot);
  }
}

}  // namespace
}  // namespace imasnap::cli
