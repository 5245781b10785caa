// SPDX-License-Identifier: GPL-2.0-or-later
//
// The Canonical Event Log of `cat --cel`, read by the Feature API of tpm2-tss, which
// replays it and compares it with a quote of its own. It has that format since 4.0,
// and knows the templates ima, ima-ng and ima-sig only.
#include <gtest/gtest.h>

#include <filesystem>
#include <string_view>

#include "base/bytes.h"
#include "quote_fixture.h"

namespace imasnap::cli {
namespace {

using Json = nlohmann::json;

constexpr const char* kProfiles = "/etc/tpm2-tss/fapi-profiles/";

class FapiTest : public QuoteTest {
 protected:
  void SetUp() override {
    if (std::string_view(IMASNAP_TSS2_VERSION).starts_with("3.")) {
      GTEST_SKIP() << "tpm2-tss " IMASNAP_TSS2_VERSION " reads another format of the log";
    }
    if (!testing::FindProgram("tss2_verifyquote")) {
      GTEST_SKIP() << "tss2_verifyquote is not installed; scripts/deps installs it";
    }
    if (!std::filesystem::exists(kProfiles)) {  // Debian's 4.2.0-2 has none
      GTEST_SKIP() << "tpm2-tss has no profiles in " << kProfiles;
    }
    QuoteTest::SetUp();
    if (!IsSkipped()) {
      Measure(3);
      Provision();
    }
  }

  testing::ToolResult Fapi(std::vector<std::string> command) {
    command.insert(command.begin(), {"env", "TSS2_FAPICONF=" + File("fapi.json")});
    return tpm_.Tool(command);
  }
  std::string File(const std::string& name) const { return tpm_.directory() + "/" + name; }

  void Provision() {
    const Json config = {{"profile_name", "P_ECCP256SHA256"},
                         {"profile_dir", kProfiles},
                         {"user_dir", File("user")},
                         {"system_dir", File("system")},
                         {"log_dir", File("log")},
                         {"tcti", tpm_.tcti()},
                         {"ek_cert_less", "yes"},
                         {"system_pcrs", Json::array()}};
    for (const char* directory : {"user", "system", "log"}) {
      std::filesystem::create_directory(File(directory));
    }
    tpm_.WriteFile("fapi.json", AsBytes(config.dump()));
    tpm_.WriteFile("nonce", AsBytes(kNonce));
    testing::ToolResult ran = Fapi({"tss2_provision"});
    ASSERT_EQ(ran.status, 0) << ran.output;
    ran =
        Fapi({"tss2_createkey", "--path=HS/SRK/ak", "--type=noda,sign,restricted", "--authValue="});
    ASSERT_EQ(ran.status, 0) << ran.output;
  }
  void Quote() {
    const auto ran =
        Fapi({"tss2_quote", "--keyPath=HS/SRK/ak", "--pcrList=10", "--qualifyingData=nonce",
              "--signature=signature", "--quoteInfo=info", "--force"});
    ASSERT_EQ(ran.status, 0) << ran.output;
  }
  // The exit status of a verification of `log` with that quote.
  int Check(const std::string& log) {
    tpm_.WriteFile("log.json", AsBytes(log));
    return Fapi({"tss2_verifyquote", "--publicKeyPath=HS/SRK/ak", "--qualifyingData=nonce",
                 "--quoteInfo=info", "--signature=signature", "--pcrLog=log.json"})
        .status;
  }
  std::string Cel() {
    const Ran ran = Run({"cat", "--cel", "--hash", "sha256"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.out;
  }
};

TEST_F(FapiTest, ReplaysTheCanonicalEventLogToItsQuote) {
  Quote();
  const std::string log = Cel();
  EXPECT_EQ(Check(log), 0);

  Json shorter = Json::parse(log);
  shorter.erase(shorter.size() - 1);
  EXPECT_NE(Check(shorter.dump()), 0);
  Json changed = Json::parse(log);
  changed[1]["digests"][0]["digest"] = std::string(64, '1');
  EXPECT_NE(Check(changed.dump()), 0);
}

// ima-snapshot-verifiers(7) says so.
TEST_F(FapiTest, DoesNotKnowTheTemplateOfAnAggregate) {
  ASSERT_EQ(Run({"take"}).code, 0);
  Extend();
  Quote();
  EXPECT_NE(Check(Cel()), 0);
}

}  // namespace
}  // namespace imasnap::cli
