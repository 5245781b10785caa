// SPDX-License-Identifier: GPL-2.0-or-later
//
// Logs of other kernels and machines, and files that are no logs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "cli_fixture.h"
#include "log/not_a_list.h"
#include "tampering.h"
#include "whole_log_fixture.h"

namespace imasnap::cli {
namespace {

using imasnap::testing::BufRecord;
using imasnap::testing::BuiltRecord;
using imasnap::testing::Concatenate;
using imasnap::testing::DigestNg;
using imasnap::testing::HashOf;
using imasnap::testing::NameField;
using imasnap::testing::NgRecord;
using imasnap::testing::RawField;

class ForeignKindsTest : public CliTest {
 protected:
  // A copied store that has only this list.
  std::vector<std::string> OfFile(const std::string& command, ByteView list) {
    world_.fs.MakeAll("/copy/boots/00000001");
    world_.fs.Write("/copy/list", AsText(list));
    return {command, "--from-dir", "/copy", "--live", "/copy/list"};
  }
};

// CONFIG_IMA_INIT_LATE_SYNC.
TEST_F(ForeignKindsTest, BootAggregateLateIsABeginning) {
  world_.kernel.boot_event = "boot_aggregate_late";
  world_.kernel.Boot();
  world_.kernel.MeasureFiles(6);
  ASSERT_EQ(Run({"take"}).code, 0);
  world_.Kexec();
  world_.kernel.MeasureFiles(2);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"cat"}, {"cat", "--ascii"}, {"cat", "--json"}}) {
    const Ran ran = Run(command);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_FALSE(ran.out.empty());
  }
  EXPECT_EQ(Run({"verify", "--tpm"}).code, 0);
  const auto view = Open(&world_);
  ASSERT_TRUE(view.ok()) << view.error().ToString();
  // Without reset counts, the beginning shows a cold boot.
  world_.ColdBoot(std::nullopt);
  world_.kernel.MeasureFiles(3);
  ASSERT_EQ(Run({"take"}).code, 0);
  EXPECT_EQ(RunJson({"list"}).json["session"], 2);
  EXPECT_EQ(Run({"verify", "--tpm"}).code, 0);
}

TEST_F(ForeignKindsTest, UnknownTemplateIsVerifiedAndNotDecoded) {
  world_.kernel.Measure(
      {10,
       "ima-cgpath",
       {RawField("swapper/0"), NameField("/system.slice"),
        DigestNg("sha256", HashOf(HashAlg::kSha256, "x").view()), NameField("/usr/bin/x")},
       false});
  ASSERT_EQ(Run({"take"}).code, 0);
  Ran ran = RunJson({"verify", "--tpm"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["not_decoded"], 1);
  EXPECT_EQ(Run({"cat"}).out, AsText(world_.kernel.Everything()));
  EXPECT_EQ(Run({"cat", "--hash", "sha256"}).code, 0);
  // Only what prints the fields fails, after the records before it.
  ran = RunJson({"show", "1"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("\"fields\":null,\"data\":\""), std::string::npos);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"cat", "--ascii"}, {"show", "1"}}) {
    ran = Run(command);
    EXPECT_EQ(ran.code, 1) << ran.err;
    EXPECT_EQ(std::ranges::count(ran.out, '\n'), 1) << "the record before it";
  }
  EXPECT_EQ(Run({"cat", "--ascii", "--from", "3"}).code, 0);
  const auto view = Open(&world_);
  ASSERT_TRUE(view.ok()) << view.error().ToString();
  Bytes out(16);
  const auto index = (*view)->index();
  EXPECT_TRUE(index->Read({.ascii = false}, 0, out).ok());
  const auto ascii = index->Read({.ascii = true}, 0, out);
  ASSERT_FALSE(ascii.ok());
  EXPECT_EQ(ascii.error().cause, Cause::kUnknownName);
  EXPECT_EQ(ascii.error().record, 2U);
}

// No digest covers the template's name.
TEST_F(ForeignKindsTest, AggregateUnderAnUnknownTemplateIsFound) {
  std::vector<BuiltRecord> records = {NgRecord("boot_aggregate"), NgRecord("/x")};
  records.push_back(BufRecord("snapshot_aggregate",
                              "Snapshot_Attempt_Count=1;Record_Count=2;Segment_Hash=sha256:" +
                                  HashOf(HashAlg::kSha256, Concatenate(records)).Hex() + ";"));
  EXPECT_EQ(Run(OfFile("verify", Concatenate(records))).code, 0);
  records.back().template_name = "ima-cgpath";
  const Ran ran = RunJson(OfFile("verify", Concatenate(records)));
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.json["mismatch"]["cause"], "aggregate_template");
}

TEST_F(ForeignKindsTest, BigEndianLogIsReadInItsOrder) {
  world_.kernel.order = ByteOrder::kBig;
  world_.kernel.Boot();
  world_.kernel.MeasureFiles(6);
  ASSERT_EQ(Run({"take"}).code, 0);
  world_.kernel.MeasureFiles(3);
  Ran ran = RunJson({"verify", "--tpm"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["aggregates"], 1);
  EXPECT_EQ(Run({"cat"}).out, AsText(world_.kernel.Everything()));
  EXPECT_NE(Run({"cat", "--ascii"}).out.find(" /file/1\n"), std::string::npos);
  const auto view = Open(&world_);
  ASSERT_TRUE(view.ok()) << view.error().ToString();
}

TEST_F(ForeignKindsTest, ViolationMayHaveASha1DigestUnderAnotherName) {
  BuiltRecord record{10,
                     "ima-ng",
                     {DigestNg("sha256", Digest::Filled(20, std::byte{0}).view()), NameField("/x")},
                     true};
  const std::vector<BuiltRecord> first = {NgRecord("boot_aggregate")};
  std::vector<BuiltRecord> records = first;
  records.push_back(record);
  EXPECT_EQ(Run(OfFile("verify", Concatenate(records))).code, 0);
  // Only a violation.
  records.back().violation = false;
  const Ran ran = RunJson(OfFile("verify", Concatenate(records)));
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.json["mismatch"]["cause"], "wrong_length");
}

struct NoList {
  const char* name;
  std::string bytes;
  const char* hint;  // null: none is known
};
class NoListTest : public ForeignKindsTest, public ::testing::WithParamInterface<NoList> {};

TEST_P(NoListTest, CannotBeChecked) {
  const ByteView bytes = AsBytes(GetParam().bytes);
  const Ran ran = RunJson(OfFile("verify", bytes));
  EXPECT_EQ(ran.code, 4) << ran.err;
  EXPECT_EQ(ran.error["cause"], "not_a_list");
  const auto hint = LooksLike(bytes);
  EXPECT_EQ(hint.has_value(), GetParam().hint != nullptr);
  if (hint) {
    EXPECT_NE(hint->find(GetParam().hint), std::string::npos) << *hint;
  }
}

std::string BankList() {
  return std::string(AsText(Concatenate({NgRecord("boot_aggregate")}, HashAlg::kSha256)));
}

INSTANTIATE_TEST_SUITE_P(
    Files, NoListTest,
    ::testing::Values(
        NoList{"Ascii", "10 " + std::string(40, 'a') + " ima-ng sha256:00 boot_aggregate\n",
               "ascii_runtime_measurements"},
        NoList{"Text", "hello, world\n", "text"}, NoList{"ShortText", "hello", "text"},
        NoList{"Json", "{\"digests\": []}\n", "JSON"},
        NoList{"Gzip", std::string("\x1f\x8b\x08\0\0\0\0\0", 8) + "x", "gzip"},
        NoList{"Bank", BankList(), "binary_runtime_measurements_sha256"},
        NoList{"Firmware",
               std::string("\0\0\0\0\3\0\0\0", 8) + std::string(20, '\0') +
                   std::string("\x25\0\0\0", 4) + "Spec ID Event03" + std::string(20, '\0'),
               "firmware"},
        NoList{"Zeros", std::string(100, '\0'), "zeros"},
        NoList{"Noise", std::string(100, '\xa5'), nullptr}),
    [](const auto& p) { return p.param.name; });

TEST_F(ForeignKindsTest, EmptyLogCannotBeChecked) {
  EXPECT_EQ(RunJson(OfFile("verify", {})).error["cause"], "empty");
  EXPECT_EQ(Run(OfFile("verify", {})).code, 4);
}

TEST_F(ForeignKindsTest, CommandsAgreeOnTheirExitStatus) {
  world_.kernel.MeasureFiles(6);
  ASSERT_EQ(Run({"take"}).code, 0);
  const std::string segment = world_.SegmentPath(1) + ".ima";
  const Bytes good = world_.fs.Find(segment)->data;
  const std::vector<std::vector<std::string>> commands = {
      {"verify"}, {"cat"}, {"cat", "--ascii"}, {"cat", "--json"}, {"show", "1"}};
  // The length of the second record's template, and that of the first record's.
  const size_t second = NgRecord("boot_aggregate").Binary().size();
  for (const size_t offset : {second + 4 + 20 + 3, size_t{4 + 20 + 3}}) {
    world_.fs.Find(segment)->data = good;
    world_.fs.Find(segment)->data[offset] = std::byte{0x7f};
    for (const std::vector<std::string>& command : commands) {
      const Ran ran = Run(command);
      EXPECT_EQ(ran.code, 3) << command[0] << ": " << ran.err;
    }
  }
  const auto view = Open(&world_);
  ASSERT_FALSE(view.ok());
  EXPECT_EQ(ExitCodeFor(view.error()), 3);
}

TEST_F(ForeignKindsTest, RecordsLostByAKexecAreExplained) {
  world_.kernel.Measure(BufRecord("kexec_load", "kexec_segment_size=4096;"));
  world_.kernel.MeasureFiles(3);
  const PcrValues whole = world_.kernel.Pcrs();
  world_.Kexec();
  Ran ran = RunJson({"verify", "--tpm"});
  EXPECT_EQ(ran.code, 0) << "the PCRs show that nothing was lost";
  PcrValues other = world_.kernel.Pcrs();
  other["sha1"][10].bytes[0] ^= std::byte{1};
  other["sha256"][10].bytes[0] ^= std::byte{1};
  world_.kernel.ForcePcrs(other);
  ran = RunJson({"verify", "--tpm"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.json["mismatch"]["cause"], "pcr_mismatch");
  EXPECT_EQ(ran.json["mismatch"]["lost_at_kexec"], 6);
}

TEST_F(ForeignKindsTest, KexecThatWasExecutedExplainsNothing) {
  world_.kernel.Measure(BufRecord("kexec_load", "kexec_segment_size=4096;"));
  world_.kernel.Measure(BufRecord("kexec_execute", "kexec_segment_size=4096;"));
  world_.Kexec();
  PcrValues other = world_.kernel.Pcrs();
  other["sha256"][10].bytes[0] ^= std::byte{1};
  world_.kernel.ForcePcrs(other);
  const Ran ran = RunJson({"verify", "--tpm"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_TRUE(ran.json["mismatch"]["lost_at_kexec"].is_null());
}

// CONFIG_IMA_MEASURE_PCR_IDX: the owner's log says it, a verifier must know it.
TEST_F(ForeignKindsTest, PcrOfTheLogIsFoundOnItsOwnMachineAlone) {
  world_.kernel.ima_pcr = 12;
  world_.kernel.Boot();
  world_.kernel.MeasureFiles(3);
  Ran ran = RunJson({"verify", "--tpm"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(RunJson({"verify", "--tpm", "--ima-pcr", "10"}).code, 4);
  std::string pcrs = "sha256:\n";
  const PcrValues values = world_.kernel.Pcrs();
  for (const auto& [pcr, value] : values.at("sha256")) {
    pcrs += "  " + std::to_string(pcr) + ": 0x" + value.Hex() + "\n";
  }
  world_.fs.Write("/pcrs", pcrs);
  ran = RunJson({"verify", "--pcrs", "/pcrs"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "pcr_not_extended");
  EXPECT_EQ(ran.error["pcr"], 10);
  EXPECT_NE(ran.err.find("--ima-pcr 12"), std::string::npos) << ran.err;
  EXPECT_EQ(RunJson({"verify", "--pcrs", "/pcrs", "--ima-pcr", "12"}).code, 0);
}

TEST_F(ForeignKindsTest, TpmThatWasRestartedUnderTheLogIsExplained) {
  world_.kernel.MeasureFiles(3);
  ASSERT_EQ(Run({"take"}).code, 0);
  world_.reset_count = 6;
  PcrValues reset = world_.kernel.Pcrs();
  for (auto& [bank, pcrs] : reset) {
    pcrs[10] = Digest::Filled(pcrs[10].size, std::byte{0});
  }
  world_.kernel.ForcePcrs(reset);
  Ran ran = RunJson({"verify", "--tpm"});
  EXPECT_EQ(ran.code, 3) << ran.err;
  EXPECT_EQ(ran.json["mismatch"]["cause"], "pcr_mismatch");
  EXPECT_EQ(ran.json["mismatch"]["tpm_restarted"], true);
  world_.reset_count = 5;
  EXPECT_EQ(RunJson({"verify", "--tpm"}).json["mismatch"]["tpm_restarted"], false);
}

TEST_F(ForeignKindsTest, ShowsTheMostFrequentNamesOfEachPart) {
  for (int i = 0; i < 5; ++i) {
    world_.kernel.Measure(NgRecord("/var/log/often"));
  }
  world_.kernel.Measure(NgRecord("/b"));
  world_.kernel.Measure(NgRecord("/a"));
  ASSERT_EQ(Run({"take"}).code, 0);
  world_.kernel.Measure(NgRecord("/new"));
  const Ran ran = RunJson({"show", "--top", "2"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  std::istringstream lines(ran.out);
  std::string line;
  std::getline(lines, line);
  const auto first = nlohmann::json::parse(line);
  EXPECT_EQ(first["segment"], "00000001");
  EXPECT_EQ(first["records"], 8);
  EXPECT_EQ(first["names"], 4);
  EXPECT_EQ(first["top"],
            nlohmann::json::parse(
                R"([{"name": "/var/log/often", "count": 5}, {"name": "/a", "count": 1}])"));
  std::getline(lines, line);
  EXPECT_EQ(nlohmann::json::parse(line)["segment"], "live");
  EXPECT_EQ(Run({"show", "--top", "2"}).code, 0);
  EXPECT_EQ(Run({"show"}).code, 2);
  EXPECT_EQ(Run({"show", "1", "--top", "2"}).code, 2);
}

}  // namespace
}  // namespace imasnap::cli
