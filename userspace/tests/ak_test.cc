// SPDX-License-Identifier: GPL-2.0-or-later
//
// Attestation keys: which are created, never replaced, or refused.
#include "tpm/ak.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "quote_fixture.h"

namespace imasnap::cli {
namespace {

using imasnap::testing::kStore;
using ::testing::HasSubstr;

class AkTest : public QuoteTest {};

TEST_F(AkTest, AkFilesAreLoadedByTpm2Load) {
  ASSERT_EQ(CreateAk("ecc", "key").code, 0);
  Export(kStore + "/ak/key.pub", "ak.pub");
  Export(kStore + "/ak/key.priv", "ak.priv");
  MustRun({"tpm2_createprimary", "-C", "e", "-G", "ecc", "-a",
           "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt", "-c",
           "primary.ctx"});
  MustRun({"tpm2_load", "-C", "primary.ctx", "-u", "ak.pub", "-r", "ak.priv", "-c", "ak.ctx"});
}

TEST_F(AkTest, KeysOfTheOwnerHierarchyNeedTheResetCountIgnored) {
  Measure(2);
  MustRun({"tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", "primary.ctx"});
  MustRun({"tpm2_create", "-C", "primary.ctx", "-G", "ecc256:ecdsa-sha256:null", "-a",
           "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign", "-u", "ak.pub",
           "-r", "ak.priv"});
  MustRun({"tpm2_load", "-C", "primary.ctx", "-u", "ak.pub", "-r", "ak.priv", "-c", "ak.ctx"});
  MustRun(
      {"tpm2_quote", "-c", "ak.ctx", "-l", "sha256:10", "-q", kNonce, "-m", "msg", "-s", "sig"});
  Import("msg", "/q/quote.msg");
  Import("sig", "/q/quote.sig");
  Import("ak.pub", kStore + "/ak/owner");
  Ran ran = Verify("owner", "/q");
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "other_boot");
  EXPECT_THAT(ran.err, HasSubstr("--ignore-reset-count"));
  ran = Verify("owner", "/q", {"--ignore-reset-count"});
  EXPECT_EQ(ran.code, 0) << ran.err;
}

// TPM2_Clear changes what the private part is encrypted with.
TEST_F(AkTest, AfterTpm2ClearItSaysSo) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  MustRun({"tpm2_clear"});
  const Ran ran = MakeQuote("ak", "/q");
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "ak_not_loaded");
  EXPECT_THAT(ran.err, HasSubstr("TPM2_Clear"));
  ASSERT_EQ(CreateAk("ecc", "new").code, 0);
  EXPECT_EQ(MakeQuote("new", "/q").code, 0);
}

TEST_F(AkTest, PasswordOfTheHierarchyGoesAsTheErrorSays) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  MustRun({"tpm2_changeauth", "-c", "e", "secret"});
  const Ran ran = MakeQuote("ak", "/q");
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "hierarchy_password");
  EXPECT_THAT(ran.err, HasSubstr("tpm2_changeauth -c e -p PASSWORD "));
  MustRun({"tpm2_changeauth", "-c", "e", "-p", "secret"});
  EXPECT_EQ(MakeQuote("ak", "/q").code, 0);
}

TEST_F(AkTest, AnAkIsNeverReplaced) {
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  const auto before = world_.fs.Read(kStore + "/ak/ak.priv");
  const Ran ran = CreateAk("rsa", "ak");
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.error["cause"], "ak_exists");
  EXPECT_EQ(ran.error["file"], kStore + "/ak/ak.pub");
  EXPECT_EQ(world_.fs.Read(kStore + "/ak/ak.priv"), before);
  EXPECT_EQ(CreateAk("ecc", "../x").code, 2);
  EXPECT_EQ(CreateAk("ecc", ".x").code, 2);
  EXPECT_EQ(CreateAk("dsa", "x").code, 2);
}

TEST_F(AkTest, EveryFailingCallOfAkCreateLeavesNoAkOrAWholeOne) {
  world_.fs.MakeAll(kStore);
  for (int call = 1;; ++call) {
    world_.fs.Remove(kStore + "/ak");
    world_.fs.Arm(
        {.call = call, .kind = imasnap::testing::Fault::Kind::kError, .errno_value = EIO});
    const Ran ran = CreateAk("ecc", "ak");
    const bool hit = world_.fs.fault_hit();
    world_.fs.Arm({});
    EXPECT_EQ(Transient(), "");
    if (!hit) {
      EXPECT_EQ(ran.code, 0) << ran.err;
      break;
    }
    EXPECT_NE(ran.code, 0) << world_.fs.fault_call();
    if (world_.fs.Read(kStore + "/ak/ak.pub")) {
      EXPECT_EQ(MakeQuote("ak", "/q").code, 0) << world_.fs.fault_call();
    } else {
      EXPECT_EQ(CreateAk("ecc", "ak").code, 0) << world_.fs.fault_call();
    }
  }
}

}  // namespace
}  // namespace imasnap::cli
