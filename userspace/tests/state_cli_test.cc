// SPDX-License-Identifier: GPL-2.0-or-later
//
// verify --state, verify --from-dir and gc, as run by people.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "cli_fixture.h"
#include "tampering.h"

namespace imasnap::cli {
namespace {

using imasnap::testing::kBoot1;
using imasnap::testing::kStore;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Json = nlohmann::json;

class StateCliTest : public CliTest {
 protected:
  void Snapshot() {
    world_.kernel.MeasureFiles(8);
    ASSERT_EQ(Run({"take"}).code, 0);
    world_.kernel.MeasureFiles(3);
  }
  void Allow(const std::string& discard) {
    world_.fs.Write("/etc/ima-snapshot.conf", "discard = \"" + discard + "\"\n");
  }
  std::string PcrText() {
    std::string text;
    for (const auto& [bank, values] : world_.kernel.Pcrs()) {
      text += bank + ":\n";
      for (const auto& [pcr, value] : values) {
        text += "  " + std::to_string(pcr) + ": 0x" + ToHexUpper(value.view()) + "\n";
      }
    }
    return text;
  }
  // As scp would: all files, owned by somebody, readable and writable by all.
  void CopyStore(const std::string& to) {
    for (const std::string& name : world_.fs.Names(kBoot1)) {
      world_.fs.Write(to + "/boots/00000001/" + name, *world_.fs.Read(kBoot1 + "/" + name));
      world_.fs.Find(to + "/boots/00000001/" + name)->owner = 1000;
      world_.fs.Find(to + "/boots/00000001/" + name)->mode = 0666;
    }
  }
};

TEST_F(StateCliTest, ReadsOnlyWhatIsNewAndSaysSo) {
  Snapshot();
  Ran ran = RunJson({"verify", "--tpm", "--state", "/state"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["state"],
            (Json{{"records_before", 0}, {"written", true}, {"records", 9}, {"segment", 1}}));
  EXPECT_EQ(world_.fs.Find("/state")->mode, 0600U);
  Snapshot();
  ran = RunJson({"verify", "--tpm", "--state", "/state"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["state"]["records_before"], 9);
  EXPECT_EQ(ran.json["records_read"], 16);
  EXPECT_EQ(ran.json["records"], 25);
  EXPECT_EQ(ran.json["segments"], 2);
  EXPECT_EQ(ran.json["live_records"], 4);
  const Json json = Json::parse(Run({"verify", "--tpm", "--state", "/state", "--json"}).out);
  EXPECT_EQ(json["records"], 25);
  EXPECT_EQ(json["records_read"], 4);
  EXPECT_EQ(json["state"]["records_before"], 21);
  EXPECT_EQ(json["state"]["written"], true);
  EXPECT_EQ(json["state"]["segment"], 2);
  EXPECT_EQ(json["live"], true);
}

TEST_F(StateCliTest, StateThatIsThereIsNotWrittenAgain) {
  const std::vector<std::string> verify = {"verify", "--tpm", "--state", "/state"};
  Snapshot();
  ASSERT_EQ(Run(verify).code, 0);
  world_.kernel.MeasureFiles(3);
  world_.fs.read_only = true;
  EXPECT_EQ(Run(verify).code, 0);
  world_.fs.read_only = false;
  Snapshot();
  world_.fs.read_only = true;
  const Ran changed = RunJson(verify);
  EXPECT_EQ(changed.code, 1);
  EXPECT_EQ(changed.error["errno"], EROFS);
  EXPECT_EQ(changed.json["ok"], true);
  EXPECT_EQ(changed.json["state"]["written"], false);
}

TEST_F(StateCliTest, WithoutASnapshotItSaysThatTheNextRunBeginsAtTheBeginning) {
  world_.kernel.MeasureFiles(3);
  for (int i = 0; i < 2; ++i) {
    const Ran ran = RunJson({"verify", "--tpm", "--state", "/state"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(
        ran.json["state"],
        (Json{{"records_before", 0}, {"written", true}, {"records", 0}, {"segment", nullptr}}));
  }
}

TEST_F(StateCliTest, WithoutPcrsNothingIsWritten) {
  Snapshot();
  const Ran ran = RunJson({"verify", "--state", "/state"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["state"], (Json{{"records_before", 0}, {"written", false}}));
  EXPECT_FALSE(world_.fs.Read("/state"));
}

TEST_F(StateCliTest, MismatchLeavesTheStateAsItWas) {
  Snapshot();
  ASSERT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 0);
  const auto before = world_.fs.Read("/state");
  Snapshot();
  imasnap::testing::FlipByte(&world_, 2, 4);
  EXPECT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 3);
  EXPECT_EQ(world_.fs.Read("/state"), before);
}

TEST_F(StateCliTest, RefusedStateIsFourSaysWhatToDoAndStays) {
  Snapshot();
  ASSERT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 0);
  std::string text = *world_.fs.Read("/state");
  text[text.find("\"records\":9") + 10] = '8';
  world_.fs.Write("/state", text);
  Ran ran = Run({"verify", "--tpm", "--state", "/state"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_THAT(ran.err, HasSubstr("remove the file and verify from the beginning"));
  ran = RunJson({"verify", "--tpm", "--state", "/state"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["file"], "/state");
  EXPECT_EQ(ran.error["cause"], "state_damaged");
  EXPECT_EQ(world_.fs.Read("/state"), text);
  world_.fs.Remove("/state");
  EXPECT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 0);
  world_.fs.Find("/state")->owner = 1000;
  EXPECT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 4);
}

// Two that read the same state and write theirs would forget what one of them saw.
TEST_F(StateCliTest, StateThatAnotherRunHasIsLocked) {
  Allow("verified");
  Snapshot();
  ASSERT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 0);
  const auto state = world_.fs.Read("/state");
  Snapshot();
  auto lock = LockState(world_.fs, "/state", 0);
  ASSERT_TRUE(lock.ok()) << lock.error().ToString();
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {"verify", "--tpm", "--state", "/state"}, {"gc", "--state", "/state"}}) {
    const Ran ran = RunJson(args);
    EXPECT_EQ(ran.code, 75);
    EXPECT_EQ(ran.error["code"], "locked");
    EXPECT_EQ(ran.error["file"], "/state.lock");
    EXPECT_EQ(world_.fs.Read("/state"), state);
  }
  lock->reset();
  EXPECT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 0);
}

TEST_F(StateCliTest, PcrsThatAreGivenAndNotReplayedAreNamed) {
  Snapshot();
  const PcrValues pcrs = world_.kernel.Pcrs();
  std::string text = "sha256:\n";
  for (const uint32_t pcr : {0U, 1U, 2U, 7U, 10U, 11U, 12U, 16U}) {
    const bool real = pcr == 10 || pcr == 11 || pcr == 16;  // 16: as after a reset
    const std::string value = real ? pcrs.at("sha256").at(pcr).Hex() : std::string(64, '1');
    text += "  " + std::to_string(pcr) + ": 0x" + value + "\n";
  }
  world_.fs.Write("/pcrs", text);
  Ran ran = Run({"verify", "--pcrs", "/pcrs"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("\nnot replayed sha256 PCRs 0-2, 7, 12: given, but no record of "
                                 "the log extends them\n"));
  const Json json = Json::parse(Run({"verify", "--pcrs", "/pcrs", "--json"}).out);
  ASSERT_EQ(json["not_replayed"].size(), 5U);
  EXPECT_EQ(json["not_replayed"][4], (Json{{"bank", "sha256"}, {"pcr", 12}}));
  ran = RunJson({"verify", "--tpm", "--ima-pcr", "10", "--ima-pcr", "12"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "pcr_not_extended");
  EXPECT_EQ(ran.error["pcr"], 12);
  world_.kernel.Measure(imasnap::testing::NgRecord("/policy", 12));
  EXPECT_EQ(Run({"verify", "--tpm", "--ima-pcr", "10", "--ima-pcr", "12"}).code, 0);
}

TEST_F(StateCliTest, PcrsThatAreNamedTakeThePlaceOfTheDefault) {
  imasnap::testing::BuiltRecord record = imasnap::testing::NgRecord("boot_aggregate", 11);
  const Bytes log = record.Binary();
  world_.fs.Write("/copy/boots/00000001/00000001.ima", AsText(log));
  Bytes extended(32);
  AppendBytes(record.TemplateDigest(HashAlg::kSha256).view(), &extended);
  const Digest value = imasnap::testing::HashOf(HashAlg::kSha256, extended);
  world_.fs.Write("/pcrs", "PCR-11: " + value.Hex() + "\n");
  std::vector<std::string> args = {"verify", "--from-dir", "/copy", "--pcrs", "/pcrs"};
  EXPECT_EQ(Run(args).code, 4);
  args.insert(args.end(), {"--ima-pcr", "11"});
  Ran ran = Run(args);
  EXPECT_EQ(ran.code, 0) << ran.err;
  args.insert(args.end(), {"--ima-pcr", "10"});
  EXPECT_EQ(Run(args).code, 4);
}

TEST_F(StateCliTest, KeyAuthenticatesTheState) {
  Snapshot();
  world_.fs.Write("/key", "0123456789abcdef");
  world_.fs.Find("/key")->mode = 0600;
  const std::vector<std::string> with = {"verify", "--tpm",       "--state",
                                         "/state", "--state-key", "/key"};
  EXPECT_EQ(Run(with).code, 0);
  EXPECT_EQ(Run(with).code, 0);
  EXPECT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 4);
  world_.fs.Find("/key")->data[0] ^= std::byte{1};
  const Ran ran = RunJson(with);
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "state_forged");
  EXPECT_EQ(Run({"verify", "--tpm", "--state", "/state", "--state-key", "/none"}).code, 4);
}

TEST_F(StateCliTest, StateThatCannotBeWrittenIsOneAndTheVerdictIsPrinted) {
  Snapshot();
  world_.fs.read_only = true;
  const Ran ran = RunJson({"verify", "--tpm", "--state", "/state"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.json["ok"], true);
  EXPECT_EQ(ran.json["matched_record"], 13);
  EXPECT_EQ(ran.json["state"]["written"], false);
  EXPECT_EQ(ran.error["errno"], EROFS);
}

TEST_F(StateCliTest, UsageErrorsAreTwo) {
  Snapshot();
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {"verify", "--state-key", "/key"},
           {"verify", "--tpm", "--from-dir", kStore},
           {"--config", "/conf", "verify", "--from-dir", kStore},
           {"verify", "--from-dir", kStore, "--store", kStore},
           {"verify", "--live", "/live"},
           {"verify", "--session", "1"},
           {"verify", "--from-dir", kStore, "--session", "7"},
           {"verify", "--from-dir", kBoot1, "--session", "1"},
           {"gc", "--state-key", "/key"},
       }) {
    const Ran ran = Run(args);
    EXPECT_EQ(ran.code, 2) << ::testing::PrintToString(args);
    EXPECT_THAT(ran.err, Not(IsEmpty()));
  }
}

TEST_F(StateCliTest, CopiedStoreNeedsNeitherKernelNorLockNorOwnerNorConfiguration) {
  Snapshot();
  Snapshot();
  const std::string at_the_end = PcrText();
  CopyStore("/copy");
  world_.fs.Write("/live", AsText(world_.kernel.InMemory()));
  world_.fs.Write("/pcrs", at_the_end);
  const auto lock = AcquireLock(world_.Env(), LockMode::kExclusive);
  ASSERT_TRUE(lock.ok());
  has_tpm_ = false;
  world_.fs.Write(kDefaultConfigFile, "this machine's is none of its business\n");
  EXPECT_EQ(Run({"list"}).code, 1);
  for (const char* directory : {"/copy", "/copy/boots/00000001"}) {
    Ran ran = RunJson({"verify", "--securityfs", "/nowhere", "--from-dir", directory, "--live",
                       "/live", "--pcrs", "/pcrs"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.json["matched_record"], 25);
    EXPECT_EQ(ran.json["records"], 25);
    EXPECT_EQ(ran.json["live"], true);
    // Without the list the log ends before the PCRs do.
    ran = Run({"verify", "--from-dir", directory, "--pcrs", "/pcrs"});
    EXPECT_EQ(ran.code, 3);
    ran = RunJson({"verify", "--from-dir", directory});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.json["records"], 21);
    EXPECT_EQ(ran.json["segments"], 2);
    EXPECT_EQ(ran.json["live_records"], 0);
    EXPECT_EQ(ran.json["live"], false);
  }
  world_.fs.Find("/copy/boots/00000001/00000001.ima")->data[7] ^= std::byte{1};
  EXPECT_EQ(Run({"verify", "--from-dir", "/copy"}).code, 3);
}

TEST_F(StateCliTest, CopiedSegmentThatWasStoredButNotPurgedCounts) {
  Snapshot();
  world_.kernel.write_error = ESHUTDOWN;
  ASSERT_EQ(Run({"take"}).code, 1);
  CopyStore("/copy");
  world_.fs.Write("/live", AsText(world_.kernel.InMemory()));
  world_.fs.Write("/pcrs", PcrText());
  Ran ran = RunJson({"verify", "--from-dir", "/copy"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["records"], 13);
  EXPECT_EQ(ran.json["segments"], 2);
  EXPECT_EQ(ran.json["live_records"], 0);
  // With the list that still holds it, its records are there once.
  ran = RunJson({"verify", "--from-dir", "/copy", "--live", "/live", "--pcrs", "/pcrs"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["records"], 14);
  EXPECT_EQ(ran.json["segments"], 1);
  EXPECT_EQ(ran.json["live_records"], 5);
}

TEST_F(StateCliTest, EmptyListThatMustBeginWithAnAggregateIsFour) {
  Snapshot();
  CopyStore("/copy");
  world_.fs.Write("/live", "");
  const Ran ran = RunJson({"verify", "--from-dir", "/copy", "--live", "/live"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "aggregate_missing");
  EXPECT_EQ(ran.error["file"], "/live");
  EXPECT_EQ(ran.error["segment"], 1);
  EXPECT_EQ(ran.error["expected"], "1");
}

TEST_F(StateCliTest, EmptyListAfterStagingIsOne) {
  world_.kernel.has_snapshot_file = false;
  world_.kernel.has_staging = true;
  world_.kernel.MeasureFiles(3);
  ASSERT_EQ(Run({"take"}).code, 0);
  CopyStore("/copy");
  world_.fs.Write("/live", "");
  world_.fs.Write("/pcrs", PcrText());
  const Ran ran = Run({"verify", "--from-dir", "/copy", "--live", "/live", "--pcrs", "/pcrs"});
  EXPECT_EQ(ran.code, 0) << ran.err;
}

TEST_F(StateCliTest, CopiedListIsAMismatchWhereverItIsDamaged) {
  Snapshot();
  CopyStore("/copy");
  const std::string list(AsText(world_.kernel.InMemory()));
  for (const size_t at : {size_t{0}, size_t{26}, list.size() - 1}) {
    std::string damaged = list;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    world_.fs.Write("/live", damaged);
    EXPECT_EQ(Run({"verify", "--from-dir", "/copy", "--live", "/live"}).code, 3) << at;
    world_.fs.Write("/live", list.substr(0, at + 1));
    const Ran ran = Run({"verify", "--from-dir", "/copy", "--live", "/live"});
    EXPECT_EQ(ran.code, at + 1 == list.size() ? 0 : 3) << at << ran.err;
  }
}

TEST_F(StateCliTest, SupersededSegmentOfACopyWithoutMetadataIsCountedOnce) {
  Snapshot();
  world_.kernel.write_error = ESHUTDOWN;
  ASSERT_EQ(Run({"take"}).code, 1);
  world_.kernel.MeasureFiles(3);
  const std::string two = *world_.fs.Read(world_.SegmentPath(2) + ".ima");
  const std::string two_info = *world_.fs.Read(world_.SegmentPath(2) + ".json");
  ASSERT_EQ(Run({"take"}).code, 1);
  CopyStore("/copy");
  const std::string copied = "/copy/boots/00000001/0000000";
  world_.fs.Write(copied + "2.ima", two);
  world_.fs.Write(copied + "2.json", two_info);
  world_.fs.Remove(copied + "3.json");
  world_.fs.Write("/live", AsText(world_.kernel.InMemory()));
  world_.fs.Write("/pcrs", PcrText());
  const Ran ran = Run({"verify", "--from-dir", "/copy", "--live", "/live", "--pcrs", "/pcrs"});
  EXPECT_EQ(ran.code, 0) << ran.err << ran.out;
}

TEST_F(StateCliTest, ListIsReadOnceForMetadataWithoutSegments) {
  Snapshot();
  // Each says that the list begins with its bytes.
  const Bytes list = world_.kernel.InMemory();
  SpanSource source(list);
  LogReader reader(source, {}, "list");
  Bytes prefix;
  for (uint64_t number = 2; const Record* record = reader.Next().value(); ++number) {
    AppendBytes(record->raw, &prefix);
    SegmentInfo info;
    info.number = number;
    info.records = number - 1;
    info.bytes = prefix.size();
    info.sha256 = imasnap::testing::HashOf(HashAlg::kSha256, AsText(prefix));
    world_.SetInfo(number, info);
  }
  CopyStore("/copy");
  world_.fs.Write("/live", AsText(list));
  int opened = 0;
  world_.fs.on_call = [&](const std::string& call) { opened += call == "open /live" ? 1 : 0; };
  EXPECT_EQ(Run({"verify", "--from-dir", "/copy", "--live", "/live"}).code, 3);
  EXPECT_LE(opened, 2);  // once more by verification
}

TEST_F(StateCliTest, CopyThatLeadsElsewhereIsRefused) {
  Snapshot();
  CopyStore("/copy");
  world_.fs.MakeAll("/linked/boots");
  ASSERT_TRUE(world_.fs.Symlink("/copy/boots/00000001", "/linked/boots/00000001").ok());
  Ran ran = RunJson({"verify", "--from-dir", "/linked"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "not_directory");
  EXPECT_EQ(ran.error["file"], "/linked/boots/00000001");
  world_.fs.MakeAll("/other");
  ASSERT_TRUE(world_.fs.Symlink("/copy/boots", "/other/boots").ok());
  EXPECT_EQ(Run({"verify", "--from-dir", "/other"}).code, 3);
  world_.fs.Write("/live", AsText(world_.kernel.InMemory()));
  world_.fs.Find("/live")->type = FileType::kOther;  // a FIFO
  ran = RunJson({"verify", "--from-dir", "/copy", "--live", "/live"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "not_regular_file");
  EXPECT_EQ(ran.error["file"], "/live");
}

TEST_F(StateCliTest, CopiedStoreIsVerifiedFromAState) {
  Snapshot();
  CopyStore("/copy");
  world_.fs.Write("/live", AsText(world_.kernel.InMemory()));
  world_.fs.Write("/pcrs", PcrText());
  const std::vector<std::string> args = {"verify", "--from-dir", "/copy",   "--live", "/live",
                                         "--pcrs", "/pcrs",      "--state", "/state"};
  EXPECT_EQ(Run(args).code, 0);
  Snapshot();
  CopyStore("/copy");
  world_.fs.Write("/live", AsText(world_.kernel.InMemory()));
  world_.fs.Write("/pcrs", PcrText());
  const Ran ran = RunJson(args);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["state"]["records_before"], 9);
  // The machine's own state is one of the same log.
  EXPECT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 0);
}

TEST_F(StateCliTest, ADirectoryThatIsNotAStoreIsFour) {
  world_.fs.Write("/dir/file", "x");
  const Ran ran = RunJson({"verify", "--from-dir", "/dir"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "segment_missing");
  EXPECT_EQ(Run({"verify", "--from-dir", "/none"}).code, 4);
  world_.fs.MakeAll("/empty/boots");
  EXPECT_EQ(Run({"verify", "--from-dir", "/empty"}).code, 4);
}

TEST_F(StateCliTest, GcDiscardsWhatWasVerifiedAndClientsSeeIt) {
  Allow("verified");
  Snapshot();
  Snapshot();
  ASSERT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 0);
  Ran ran = RunJson({"gc", "--state", "/state"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  ASSERT_EQ(ran.json["discarded"].size(), 1U);
  EXPECT_EQ(ran.json["discarded"][0]["segment"], 1);
  EXPECT_EQ(ran.json["discarded"][0]["last_record"], 9);
  EXPECT_FALSE(world_.fs.Read(world_.SegmentPath(1) + ".ima"));
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"cat"},
                                             {"cat", "--ascii"},
                                             {"cat", "--from", "9"},
                                             {"verify"},
                                             {"verify", "--tpm"},
                                             {"show", "1"}}) {
    ran = Run(args);
    EXPECT_EQ(ran.code, 4) << ::testing::PrintToString(args);
    EXPECT_THAT(ran.out, IsEmpty());
    if (args.back() == "--ascii") {
      continue;  // which is not for --json
    }
    ran = RunJson(args);
    EXPECT_EQ(ran.code, 4) << ::testing::PrintToString(args);
    EXPECT_THAT(ran.out, IsEmpty());
    EXPECT_EQ(ran.error["cause"], "segment_discarded");
    EXPECT_EQ(ran.error["segment"], 1);
  }
  EXPECT_EQ(Run({"cat", "--from", "10"}).code, 0);
  const std::string lines = Run({"cat", "--from", "10", "--json"}).out;
  EXPECT_EQ(Json::parse(lines.substr(0, lines.find('\n')))["record"], 10);
  EXPECT_EQ(Run({"show", "2"}).code, 0);
  EXPECT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 0);
  const Json list = Json::parse(Run({"list", "--json"}).out);
  EXPECT_EQ(list["segments"][0]["discarded"], true);
  EXPECT_EQ(list["segments"][0]["missing"], false);
  EXPECT_EQ(list["segments"][1]["discarded"], false);
  ran = RunJson({"status"});
  EXPECT_EQ(ran.json["discard"], "verified");
  EXPECT_EQ(ran.json["store"]["discarded"], 1);
  ran = Run({"gc", "--state", "/state", "--json"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(Json::parse(ran.out)["discarded"].size(), 0U);
}

TEST_F(StateCliTest, GcRefusesUnderNeverAndWithoutAState) {
  Snapshot();
  Snapshot();
  ASSERT_EQ(Run({"verify", "--tpm", "--state", "/state"}).code, 0);
  Ran ran = RunJson({"gc", "--state", "/state"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.error["cause"], "discard_forbidden");
  ran = RunJson({"status"});
  EXPECT_EQ(ran.json["discard"], "never");
  EXPECT_EQ(ran.json["store"]["discarded"], 0);
  Allow("verified");
  ran = RunJson({"gc", "--state", "/none"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "state_missing");
  EXPECT_EQ(ran.error["file"], "/none");
  EXPECT_EQ(Run({"gc"}).code, 0);
  EXPECT_EQ(Run({"cat"}).out, std::string(AsText(world_.kernel.Everything())));
  const auto lock = AcquireLock(world_.Env(), LockMode::kShared);
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(Run({"gc"}).code, 75);
}

}  // namespace
}  // namespace imasnap::cli
