// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every hash of a bank against OpenSSL's (HashOf()).
#include "base/hash.h"

#include <gtest/gtest.h>

#include "log_builder.h"

namespace imasnap {
namespace {

using ::imasnap::testing::HashOf;

class HashTest : public ::testing::TestWithParam<HashAlg> {};

TEST_P(HashTest, IsThatOfOpenSslAtEveryLengthAroundABlock) {
  std::string text;
  for (int length = 0; length < 300; ++length) {
    EXPECT_EQ(HashBytes(GetParam(), AsBytes(text)), HashOf(GetParam(), text)) << length;
    text += static_cast<char>(length);
  }
}

TEST_P(HashTest, PiecesGiveTheHashOfTheWholeAndAPeekChangesNothing) {
  const std::string text(1000, 'a');
  Hasher hasher(GetParam());
  for (size_t at = 0; at < text.size(); at += 100) {
    EXPECT_EQ(hasher.Peek(), HashOf(GetParam(), text.substr(0, at)));
    hasher.Update(AsBytes(text).subspan(at, 100));
  }
  EXPECT_EQ(hasher.Finish(), HashOf(GetParam(), text));
  EXPECT_EQ(hasher.Finish(), HashOf(GetParam(), ""));
  hasher.Update(AsBytes("again"));
  EXPECT_EQ(hasher.Finish(), HashOf(GetParam(), "again"));
}

INSTANTIATE_TEST_SUITE_P(EveryAlgorithm, HashTest,
                         ::testing::Values(HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSha384,
                                           HashAlg::kSha512, HashAlg::kSm3, HashAlg::kSha3_256,
                                           HashAlg::kSha3_384, HashAlg::kSha3_512),
                         [](const auto& alg) {
                           std::string name(HashName(alg.param));
                           std::erase(name, '-');
                           return name;
                         });

// RFC 4231, test cases 2 and 6.
TEST(HmacTest, IsThatOfTheRfc) {
  EXPECT_EQ(HmacSha256(AsBytes("Jefe"), AsBytes("what do ya want for nothing?")).Hex(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(HmacSha256(AsBytes(std::string(131, '\xaa')),
                       AsBytes("Test Using Larger Than Block-Size Key - Hash Key First"))
                .Hex(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

}  // namespace
}  // namespace imasnap
