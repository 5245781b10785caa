// SPDX-License-Identifier: GPL-2.0-or-later
//
// The PCRs that quote selects by default.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quote_fixture.h"

namespace imasnap::cli {
namespace {

class QuoteSelectionTest : public QuoteTest {};

// TPM2_Quote signs that, too, and it proves nothing.
TEST_F(QuoteSelectionTest, NoPcrAtAllIsNotQuoted) {
  MustRun(
      {"tpm2_pcrallocate", "sha1:none+sha256:0,1,17,18,19,20,21,22,23+sha384:none+sha512:none"});
  Reboot();
  ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
  const Ran ran = MakeQuote("ak", "/q");
  EXPECT_EQ(ran.code, 4) << ran.out;
  EXPECT_EQ(ran.error["cause"], "pcr_not_allocated");
  EXPECT_FALSE(world_.fs.Read("/q/quote.msg"));
}

}  // namespace
}  // namespace imasnap::cli
