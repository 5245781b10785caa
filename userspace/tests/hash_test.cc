// SPDX-License-Identifier: GPL-2.0-or-later
//
// Each hash of a bank against its standard, and in pieces against the whole (HashOf()).
#include "base/hash.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <cstdlib>

#include "log_builder.h"

namespace imasnap {
namespace {

using ::imasnap::testing::HashOf;

struct KnownHash {
  HashAlg alg;
  const char* of_abc;
};

// The example "abc" of FIPS 180-4, FIPS 202 and GB/T 32905-2016.
TEST(KnownHashTest, IsThatOfTheStandard) {
  const KnownHash known[] = {
      {HashAlg::kSha1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
      {HashAlg::kSha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {HashAlg::kSha384,
       "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
       "8086072ba1e7cc2358baeca134c825a7"},
      {HashAlg::kSha512,
       "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
       "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
      {HashAlg::kSm3, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"},
      {HashAlg::kSha3_256, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"},
      {HashAlg::kSha3_384,
       "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2"
       "98d88cea927ac7f539f1edf228376d25"},
      {HashAlg::kSha3_512,
       "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
       "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0"},
  };
  static_assert(std::size(known) == kHashAlgCount);
  for (const auto& [alg, of_abc] : known) {
    EXPECT_EQ(HashBytes(alg, AsBytes("abc")).Hex(), of_abc) << HashName(alg);
  }
}

// In a process of its own: what OpenSSL has is looked up once.
TEST(HashDeathTest, AnAlgorithmThatOpenSslDoesNotOfferIsNotKnown) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto check = [] {
    if (EVP_set_default_properties(nullptr, "provider=nobody") != 1) {
      std::exit(2);
    }
    const bool known = HashFromName("sm3") || HashFromName("sm3-256") ||
                       HashFromName("tpm_alg_12") || HashFromTpmAlgId(0x12);
    std::exit(known ? 1 : 0);
  };
  EXPECT_EXIT(check(), ::testing::ExitedWithCode(0), "");
}

class HashTest : public ::testing::TestWithParam<HashAlg> {};

TEST_P(HashTest, HasherUsedOnceGivesTheHashAtEveryLengthAroundABlock) {
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
