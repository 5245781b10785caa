// SPDX-License-Identifier: GPL-2.0-or-later
//
// The files that quote reads and writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quote_fixture.h"

namespace imasnap::cli {
namespace {

using imasnap::testing::kStore;

class QuoteFilesTest : public QuoteTest {
 protected:
  Ran Quote(const std::string& ak, const std::vector<std::string>& more) {
    std::vector<std::string> args = {"quote", "--nonce", kNonce, "--ak", ak, "--pcrs", "sha256:10"};
    args.insert(args.end(), more.begin(), more.end());
    return RunJson(args);
  }
};

// The second one would take the place of the first.
TEST_F(QuoteFilesTest, TwoNamesOfOneFileAreAUsageError) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  world_.fs.MakeAll("/q");
  for (const std::vector<std::string>& to : std::vector<std::vector<std::string>>{
           {"--msg", "/q/m", "--sig", "/q/./m"},
           {"--msg", "/q/m", "--sig", "/q/../q//m"},
           {"--msg", "/q/m", "--sig", "/q/s", "--pcrs-out", "/q/x/../m"},
           // WriteDurably() writes here first.
           {"--msg", "/q/m.tmp", "--sig", "/q/m"},
           {"--msg", "/q/m", "--sig", "/q/m.tmp"},
           {"--msg", "/q/p.txt.tmp", "--sig", "/q/s", "--pcrs-out", "/q/p"}}) {
    const Ran ran = Quote("ak", to);
    EXPECT_EQ(ran.code, 2) << ::testing::PrintToString(to);
    EXPECT_EQ(ran.error["cause"], "same_file");
    EXPECT_FALSE(world_.fs.Read("/q/m"));
  }
  EXPECT_EQ(Quote("ak", {"--msg", "/q/m", "--sig", "/q/s", "--pcrs-out", "/q/p"}).code, 0);
}

TEST_F(QuoteFilesTest, DamagedFileOfAnAkIsNamed) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  const std::string base = kStore + "/ak/bad";
  const std::string pub = *world_.fs.Read(kStore + "/ak/ak.pub");
  const std::string priv = *world_.fs.Read(kStore + "/ak/ak.priv");
  const std::string pem = *world_.fs.Read(kStore + "/ak/ak.pem");
  ::testing::internal::CaptureStderr();
  for (const std::string& damaged : {std::string(), pub.substr(0, 40), pem}) {
    world_.fs.Write(base + ".pub", damaged);
    world_.fs.Write(base + ".priv", priv);
    const Ran ran = Quote("bad", {"--out", "/q"});
    EXPECT_NE(ran.code, 0);
    EXPECT_EQ(ran.error["file"], base + ".pub");
  }
  world_.fs.Write(base + ".pub", pub);
  for (const std::string& damaged : {std::string(), priv.substr(0, 40), priv + "x"}) {
    world_.fs.Write(base + ".priv", damaged);
    const Ran ran = Quote("bad", {"--out", "/q"});
    EXPECT_NE(ran.code, 0);
    EXPECT_EQ(ran.error["file"], base + ".priv");
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace imasnap::cli
