// SPDX-License-Identifier: GPL-2.0-or-later
//
// Quotes with a software TPM: the program on a kernel in memory whose records
// the TPM was extended with, and tpm2-tools as the referee in both directions.
#include "tpm/quote.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "quote_fixture.h"
#include "tpm/quote_check.h"

namespace imasnap::cli {
namespace {

using imasnap::testing::kStore;
using imasnap::testing::ToolResult;
using ::testing::HasSubstr;
using Json = nlohmann::json;

TEST_F(QuoteTest, QuotesOfBothKindsOfAkVerifyHereAndInTpm2Checkquote) {
  Measure(6);
  ASSERT_EQ(Run({"take"}).code, 0);
  Measure(3);
  for (const std::string type : {"rsa", "ecc"}) {
    Ran ran = CreateAk(type, type);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.json["public"], kStore + "/ak/" + type + ".pub");
    EXPECT_EQ(world_.fs.Find(kStore + "/ak/" + type + ".priv")->mode, 0600U);
    ran = MakeQuote(type, "/q");
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(Transient(), "");
    for (const char* form : {".pub", ".pem"}) {
      for (const std::vector<std::string>& pcrs :
           {std::vector<std::string>{}, {"--pcrs", "/q/quote.pcrs.txt"}}) {
        ran = Verify(type + form, "/q", pcrs);
        EXPECT_EQ(ran.code, 0) << ran.err;
        EXPECT_EQ(ran.json["matched_record"], 11);
        EXPECT_EQ(ran.json["quote"]["clock"]["reset_count"], *world_.reset_count);
      }
      Export("/q/quote.msg", "msg");
      Export("/q/quote.sig", "sig");
      Export("/q/quote.pcrs", "pcrs");
      Export(kStore + "/ak/" + type + form, "ak");
      MustRun({"tpm2_checkquote", "-u", "ak", "-m", "msg", "-s", "sig", "-f", "pcrs", "-g",
               "sha256", "-q", kNonce});
      EXPECT_NE(tpm_.Tool({"tpm2_checkquote", "-u", "ak", "-m", "msg", "-s", "sig", "-f", "pcrs",
                           "-g", "sha256", "-q", "00"})
                    .status,
                0);
    }
  }
}

TEST_F(QuoteTest, QuotesOfTpm2ToolsVerifyHere) {
  Measure(4);
  MustRun({"tpm2_createek", "-G", "rsa", "-c", "ek.ctx", "-u", "ek.pub"});
  for (const std::vector<std::string>& kind : std::vector<std::vector<std::string>>{
           {"rsa", "rsassa"}, {"rsa", "rsapss"}, {"ecc", "ecdsa"}}) {
    MustRun({"tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", kind[0], "-s", kind[1], "-u",
             "ak.pub", "-n", "ak.name"});
    MustRun({"tpm2_quote", "-c", "ak.ctx", "--scheme", kind[1], "-l", "sha256:10,11+sha1:10", "-q",
             kNonce, "-m", "msg", "-s", "sig", "-o", "pcrs"});
    Import("msg", "/q/quote.msg");
    Import("sig", "/q/quote.sig");
    Import("ak.pub", kStore + "/ak/theirs");
    const Ran ran = Verify("theirs", "/q");
    EXPECT_EQ(ran.code, 0) << kind[1] << ran.err;
    EXPECT_EQ(ran.json["matched_record"], 5);
  }
}

TEST_F(QuoteTest, AQuoteOlderThanTheLogMatchesInsideAndANewerOneIsAMismatch) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  Measure(3);
  ASSERT_EQ(MakeQuote("ak", "/old").code, 0);
  Measure(3);
  ASSERT_EQ(Run({"take"}).code, 0);
  Extend();
  Measure(2);
  for (const std::vector<std::string>& pcrs :
       {std::vector<std::string>{}, {"--pcrs", "/old/quote.pcrs.txt"}}) {
    const Ran ran = Verify("ak.pub", "/old", pcrs);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.json["matched_record"], 4);
    EXPECT_EQ(ran.json["records"], 10);
  }
  // The TPM was extended with a record that the log has not.
  MustRun({"tpm2_pcrextend", "10:sha256=" + std::string(64, '1')});
  ASSERT_EQ(MakeQuote("ak", "/new").code, 0);
  Ran ran = Verify("ak.pub", "/new");
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "pcr_digest");
  EXPECT_EQ(ran.json["quote"]["selection"], "sha1:10,11+sha256:10,11+sha384:10,11+sha512:10,11");
  EXPECT_TRUE(ran.json["mismatch"]["state_end"].is_null());
  ran = Verify("ak.pub", "/new", {"--pcrs", "/new/quote.pcrs.txt"});
  EXPECT_EQ(ran.code, 3);
  const Json json = ran.json;
  EXPECT_EQ(json["mismatch"]["cause"], "pcr_mismatch");
  EXPECT_EQ(json["mismatch"]["bank"], "sha256");
  EXPECT_EQ(json["mismatch"]["pcr"], 10);
  EXPECT_EQ(json["mismatch"]["found"], world_.kernel.Pcrs()["sha256"][10].Hex());
}

TEST_F(QuoteTest, WrongNonceAkOrValuesAreAMismatchThatSaysWhatWasExpected) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  ASSERT_EQ(CreateAk("ecc", "other").code, 0);
  ASSERT_EQ(CreateAk("rsa", "rsa").code, 0);
  Measure(3);
  ASSERT_EQ(MakeQuote("ak", "/q").code, 0);
  Ran ran = Verify("ak.pub", "/q", {}, "0011");
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "nonce");
  EXPECT_EQ(ran.error["found"], kNonce);
  EXPECT_EQ(ran.error["expected"], "0011");
  ran = Verify("other.pub", "/q");
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "signature");
  EXPECT_EQ(ran.error["file"], "/q/quote.sig");
  ran = Verify("rsa.pem", "/q");
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "signature_scheme");
  std::string values = *world_.fs.Read("/q/quote.pcrs.txt");
  const size_t digit = values.rfind("0x") + 2;
  values[digit] = values[digit] == '0' ? '1' : '0';
  world_.fs.Write("/values", values);
  ran = Verify("ak.pub", "/q", {"--pcrs", "/values"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "pcr_values");
}

TEST_F(QuoteTest, EveryFlippedByteOfMessageAndSignatureIsAMismatch) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  ASSERT_EQ(MakeQuote("ak", "/q").code, 0);
  for (const char* name : {"/q/quote.msg", "/q/quote.sig"}) {
    const std::string whole = *world_.fs.Read(name);
    for (size_t i = 0; i < whole.size(); ++i) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ 1);
      world_.fs.Write(name, flipped);
      const Ran ran = Verify("ak.pub", "/q");
      EXPECT_EQ(ran.code, 3) << name << " byte " << i << ": " << ran.out << ran.err;
      world_.fs.Write(name, whole.substr(0, i));
      EXPECT_EQ(Verify("ak.pub", "/q").code, 3) << name << " cut at " << i;
    }
    world_.fs.Write(name, whole);
  }
  EXPECT_EQ(Verify("ak.pub", "/q").code, 0);
}

TEST_F(QuoteTest, SelectionsThatTheLogCannotAnswerCannotBeChecked) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  Measure(3);
  const auto quote = [this](const std::string& pcrs) {
    return Run({"quote", "--nonce", kNonce, "--pcrs", pcrs, "--out", "/q"});
  };
  ASSERT_EQ(quote("sha256:0,1").code, 0);
  Ran ran = Verify("ak.pub", "/q", {"--pcrs", "/q/quote.pcrs.txt"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "nothing_compared");
  // Only --pcrs can give the value of PCR 16.
  MustRun({"tpm2_pcrextend", "16:sha256=" + std::string(64, '2')});
  ASSERT_EQ(quote("sha256:10,16+sha1:10").code, 0);
  ran = Verify("ak.pub", "/q");
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "pcr_value_needed");
  EXPECT_EQ(ran.error["bank"], "sha256");
  EXPECT_EQ(ran.error["pcr"], 16);
  EXPECT_EQ(Verify("ak.pub", "/q", {"--pcrs", "/q/quote.pcrs.txt"}).code, 0);
  const auto all = ParsePcrText(*world_.fs.Read("/q/quote.pcrs.txt"), "values");
  ASSERT_TRUE(all.ok());
  world_.fs.Write("/16", "PCR-16: " + all->at("sha256").at(16).Hex() + "\n");
  ran = Verify("ak.pub", "/q", {"--pcrs", "/16"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["matched_record"], 4);
  // A PCR of the log in one bank and none of it in another.
  ASSERT_EQ(quote("sha1:0+sha256:10").code, 0);
  EXPECT_EQ(Verify("ak.pub", "/q", {"--pcrs", "/q/quote.pcrs.txt"}).code, 0);
}

// An attacker with root chooses what is quoted, can extend any PCR, and can reset some.
TEST_F(QuoteTest, QuoteWithoutAPcrOfTheLogProvesNothing) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  Measure(3);
  world_.kernel.Measure(testing::NgRecord("/claimed", 16));
  Extend();
  MustRun({"tpm2_pcrextend", "10:sha256=" + std::string(64, '1')});  // is not in the log
  ASSERT_EQ(Run({"quote", "--nonce", kNonce, "--pcrs", "sha256:16", "--out", "/q"}).code, 0);
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{
           {}, {"--pcrs", "/q/quote.pcrs.txt"}, {"--state", "/state"}, {"--ima-pcr", "11"}}) {
    const Ran ran = Verify("ak.pub", "/q", more);
    EXPECT_EQ(ran.code, 4) << ran.out;
    EXPECT_FALSE(world_.fs.Read("/state"));
  }
  const Ran quoted = Verify("ak.pub", "/q");
  EXPECT_EQ(quoted.error["cause"], "pcr_not_compared");
  EXPECT_EQ(quoted.error["pcr"], 10);
  ASSERT_EQ(Run({"quote", "--nonce", kNonce, "--pcrs", "sha256:10,16", "--out", "/q"}).code, 0);
  EXPECT_EQ(Verify("ak.pub", "/q").code, 3);
}

TEST_F(QuoteTest, AQuoteOfAnEarlierBootIsRecognized) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  Measure(3);
  ASSERT_EQ(Run({"take"}).code, 0);
  ASSERT_EQ(MakeQuote("ak", "/earlier").code, 0);
  const uint32_t then = *world_.reset_count;
  Reboot();
  Ran ran = Verify("ak.pub", "/earlier");
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(*world_.reset_count, then + 1);
  const auto expect_other_boot = [&ran, then] {
    EXPECT_EQ(ran.error["cause"], "other_boot");
    EXPECT_EQ(ran.error["file"], "/earlier/quote.msg");
    EXPECT_EQ(ran.error["found"], std::to_string(then));
    EXPECT_EQ(ran.error["expected"], std::to_string(then + 1));
  };
  expect_other_boot();
  ASSERT_EQ(Run({"take"}).code, 0);  // the count is now in session.json
  Extend();
  world_.reset_count = std::nullopt;
  ran = Verify("ak.pub", "/earlier");
  EXPECT_EQ(ran.code, 3);
  expect_other_boot();
  // The AK still works, and this boot's quote is taken.
  ran = MakeQuote("ak", "/now");
  ASSERT_EQ(ran.code, 0) << ran.err;
  ran = Verify("ak.pub", "/now");
  EXPECT_EQ(ran.code, 0) << ran.err;
  const Json json = ran.json;
  EXPECT_EQ(json["quote"]["clock"]["reset_count"], then + 1);
  EXPECT_EQ(json["quote"]["reset_count_checked"], true);
}

// An attacker with root can change session.json.
TEST_F(QuoteTest, StateShowsAnotherBootIfTheStoreDoesNot) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  ASSERT_EQ(CreateAk("ecc", "other").code, 0);
  Measure(3);
  ASSERT_EQ(MakeQuote("ak", "/earlier").code, 0);
  Reboot();
  Measure(3);
  ASSERT_EQ(MakeQuote("other", "/now").code, 0);
  ASSERT_EQ(Verify("other.pub", "/now", {"--state", "/state"}).code, 0);
  world_.reset_count = std::nullopt;
  EXPECT_EQ(Verify("other.pub", "/now", {"--state", "/state"}).code, 0);
  const Ran ran = Verify("ak.pub", "/earlier", {"--state", "/state"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "other_boot");
  EXPECT_EQ(ran.error["file"], "/earlier/quote.msg");
}

TEST_F(QuoteTest, WithoutTheLogsResetCountItCannotBeChecked) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  Measure(3);
  ASSERT_EQ(MakeQuote("ak", "/q").code, 0);
  world_.reset_count = std::nullopt;
  const Ran ran = Verify("ak.pub", "/q");
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.error["cause"], "reset_count_unknown");
  EXPECT_EQ(ran.error["file"], "/q/quote.msg");
  EXPECT_THAT(ran.err, HasSubstr("--ignore-reset-count"));
  EXPECT_EQ(Verify("ak.pub", "/q", {"--ignore-reset-count"}).code, 0);
}

TEST_F(QuoteTest, AfterARebootItIsTheStateThatIsRefused) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  Measure(3);
  ASSERT_EQ(MakeQuote("ak", "/earlier").code, 0);
  ASSERT_EQ(Verify("ak.pub", "/earlier", {"--state", "/state"}).code, 0);
  Reboot();
  ASSERT_EQ(MakeQuote("ak", "/now").code, 0);
  const Ran ran = Verify("ak.pub", "/now", {"--state", "/state"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "state_old");
  EXPECT_EQ(ran.error["file"], "/state");
  world_.fs.Remove("/state");
  EXPECT_EQ(Verify("ak.pub", "/now", {"--state", "/state"}).code, 0);
  const Ran replayed = Verify("ak.pub", "/earlier", {"--state", "/state"});
  EXPECT_EQ(replayed.error["cause"], "quote_replayed");
  EXPECT_EQ(replayed.error["expected"], std::to_string(*world_.reset_count));
}

TEST_F(QuoteTest, WithAStateAQuoteOlderThanTheLastOfItsKeyIsRefused) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  Measure(3);
  ASSERT_EQ(MakeQuote("ak", "/old").code, 0);
  Measure(1);
  ASSERT_EQ(MakeQuote("ak", "/new").code, 0);
  Ran ran = Verify("ak.pub", "/new", {"--state", "/state"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json clock = ran.json["quote"]["clock"];
  const auto state = world_.fs.Read("/state");
  // The same key in its other form.
  ran = Verify("ak.pem", "/old", {"--state", "/state"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "quote_replayed");
  EXPECT_EQ(ran.error["expected"], "at least restart count " + clock["restart_count"].dump() +
                                       ", clock " + clock["clock"].dump());
  EXPECT_EQ(world_.fs.Read("/state"), state);
  EXPECT_EQ(Verify("ak.pub", "/old").code, 0);
  EXPECT_EQ(Verify("ak.pub", "/new", {"--state", "/state"}).code, 0);
}

TEST_F(QuoteTest, UsageErrorsAreTwoAndWriteNothing) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {"quote", "--out", "/q"},
           {"quote", "--nonce", "0", "--out", "/q"},
           {"quote", "--nonce", "", "--out", "/q"},
           {"quote", "--nonce", std::string(130, 'a'), "--out", "/q"},
           {"quote", "--nonce", "aa"},
           {"quote", "--nonce", "aa", "--msg", "/q/m"},
           {"quote", "--nonce", "aa", "--out", "/q", "--msg", "/q/m", "--sig", "/q/s"},
           {"quote", "--nonce", "aa", "--out", "/q", "--ak", "none"},
           {"quote", "--nonce", "aa", "--out", "/q", "--pcrs", "sha256:24"},
           {"quote", "--nonce", "aa", "--out", "/q", "--pcrs", "sm3:10"},
           {"quote", "--nonce", "aa", "--msg", kStore, "--sig", "/q/s"},
           {"quote", "--nonce", "aa", "--msg", "/q/m", "--sig", "/q/m"},
           {"quote", "--nonce", "aa", "--msg", "/q/m", "--sig", "/q/s", "--pcrs-out", "/q/m"},
           {"ak"},
           {"verify", "--quote", "/q/m"},
           {"verify", "--sig", "/q/s"},
           {"verify", "--ignore-reset-count"},
           {"verify", "--quote", "/q/m", "--sig", "/q/s", "--ak", "/a", "--nonce", "x"},
           {"verify", "--tpm", "--quote", "/q/m", "--sig", "/q/s", "--ak", "/a", "--nonce", "aa"},
       }) {
    const Ran ran = Run(args);
    EXPECT_EQ(ran.code, 2) << ::testing::PrintToString(args) << ran.err;
    EXPECT_NE(ran.err, "");
    EXPECT_EQ(world_.fs.Find("/q/m"), nullptr);
  }
  EXPECT_EQ(Run({"quote", "--nonce", std::string(128, 'a'), "--out", "/q"}).code, 0);
}

TEST_F(QuoteTest, WhatTheTpmRefusesCannotBeCheckedAndLeavesNothingInIt) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  std::string damaged = *world_.fs.Read(kStore + "/ak/ak.priv");
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  world_.fs.Write(kStore + "/ak/bad.priv", damaged);
  world_.fs.Write(kStore + "/ak/bad.pub", *world_.fs.Read(kStore + "/ak/ak.pub"));
  Ran ran = MakeQuote("bad", "/q");
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "ak_not_loaded");
  MustRun({"tpm2_changeauth", "-c", "e", "secret"});
  ran = MakeQuote("ak", "/q");
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "hierarchy_password");
  ran = CreateAk("ecc", "another");
  EXPECT_EQ(ran.code, 4);
  EXPECT_FALSE(world_.fs.Read(kStore + "/ak/another.priv"));
  EXPECT_FALSE(world_.fs.Read("/q/quote.msg"));
  EXPECT_EQ(Transient(), "");
  tpm_.Stop();
  ran = MakeQuote("ak", "/q");
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "tpm_not_opened");
}

TEST_F(QuoteTest, ALockedOutTpmStillQuotes) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  MustRun({"tpm2_dictionarylockout", "-s", "-n", "1", "-t", "1000", "-l", "1000"});
  MustRun({"tpm2_createprimary", "-C", "o", "-c", "guarded.ctx", "-p", "right"});
  ASSERT_NE(tpm_.Tool({"tpm2_create", "-C", "guarded.ctx", "-P", "wrong", "-u", "x"}).status, 0);
  ASSERT_EQ(tpm_.Tool({"tpm2_flushcontext", "-t"}).status, 0);
  const ToolResult locked =
      tpm_.Tool({"tpm2_create", "-C", "guarded.ctx", "-P", "right", "-u", "x"});
  ASSERT_THAT(locked.output, HasSubstr("lockout"));
  ASSERT_EQ(tpm_.Tool({"tpm2_flushcontext", "-t"}).status, 0);
  EXPECT_EQ(MakeQuote("ak", "/q").code, 0);
  EXPECT_EQ(Verify("ak.pub", "/q").code, 0);
}

TEST_F(QuoteTest, JsonHasTheQuoteInHex) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  const Ran ran = Run({"quote", "--nonce", kNonce, "--pcrs", "sha256:10", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json["nonce"], kNonce);
  EXPECT_EQ(json["selection"], "sha256:10");
  EXPECT_EQ(json["pcrs"]["sha256"]["10"], world_.kernel.Pcrs()["sha256"][10].Hex());
  QuoteEvidence evidence;
  evidence.message = {"json", *FromHex(json["message"].get<std::string>())};
  evidence.signature = {"json", *FromHex(json["signature"].get<std::string>())};
  const std::string pem = *world_.fs.Read(kStore + "/ak/ak.pem");
  evidence.ak = {"ak", Bytes(AsBytes(pem).begin(), AsBytes(pem).end())};
  evidence.nonce = *FromHex(kNonce);
  const auto checked = CheckQuote(evidence);
  ASSERT_TRUE(checked.ok()) << checked.error().ToString();
  EXPECT_EQ(json["ak_id"], checked->ak_id);
  EXPECT_EQ(json["clock"]["reset_count"], checked->attestation.clock.reset_count);
}

// The manual page that has the JSON of a command.
std::string PageOf(const std::string& command) {
  if (command == "verify" || command == "quote") {
    return "ima-snapshot-" + command + ".1";
  }
  return command == "ak create" ? "ima-snapshot-quote.1" : "ima-snapshot.1";
}

// The section of the manual about one command's JSON, in words.
std::set<std::string> WordsOfManual(const std::string& command) {
  std::ifstream file(std::string(IMASNAP_MANUALS) + "/" + PageOf(command));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t section = text.find(".SH JSON\n");
  size_t begin = text.find(".TP\n.B " + command + "\n", section);
  if (begin == std::string::npos) {  // show and cat have one
    begin = text.find(".TP\n.BR show \", \" cat\n", section);
  }
  const std::string entry = text.substr(
      begin, std::min(text.find("\n.TP\n", begin + 1), text.find("\n.SH ", begin)) - begin);
  std::set<std::string> words;
  std::string word;
  for (const char c : entry + " ") {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_') {
      word.push_back(c);
    } else {
      words.insert(std::exchange(word, {}));
    }
  }
  return words;
}

void AddMembers(const Json& json, std::set<std::string>* names) {
  for (const auto& [name, value] : json.items()) {
    if (json.is_object()) {
      names->insert(name);
    }
    if (name == "pcrs" || (name == "fields" && value.is_object())) {
      continue;  // by PCR and bank, or by the kernel's names
    }
    if (name == "banks") {
      for (const Json& bank : value) {
        AddMembers(bank, names);
      }
    } else if (value.is_structured()) {
      AddMembers(value, names);
    }
  }
}

TEST_F(QuoteTest, TheManualNamesEveryMemberOfTheJson) {
  Measure(3);
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  ASSERT_EQ(Run({"quote", "--nonce", "aa", "--out", "/q"}).code, 0);
  const std::set<std::string> of_list = WordsOfManual("list");
  const std::vector<std::vector<std::string>> all = {
      {"ak", "create", "--name", "other"},
      {"take"},
      {"status"},
      {"list"},
      {"show", "1"},
      {"quote", "--nonce", "aa"},
      {"verify", "--quote", "/q/quote.msg", "--sig", "/q/quote.sig", "--ak", kStore + "/ak/ak.pub",
       "--nonce", "aa", "--state", "/state"},
      {"gc"},
      {"verify", "--session", "1", "--from-dir", kStore},  // after the segment was changed
  };
  for (std::vector<std::string> args : all) {
    if (args.back() == kStore) {
      world_.fs.Find(world_.SegmentPath(1) + ".ima")->data[7] ^= std::byte{1};
    }
    std::set<std::string> told = WordsOfManual(args[0] == "ak" ? "ak create" : args[0]);
    args.emplace_back("--json");
    const std::string out = Run(args).out;
    ASSERT_NE(out, "") << ::testing::PrintToString(args);
    std::set<std::string> names;
    AddMembers(Json::parse(out.substr(0, out.find('\n'))), &names);
    for (const std::string& name : names) {
      const bool segment = told.contains("list") && of_list.contains(name);
      EXPECT_TRUE(told.contains(name) || segment)
          << args[0] << ": " << name << " is not in the manual";
    }
  }
}

}  // namespace
}  // namespace imasnap::cli
