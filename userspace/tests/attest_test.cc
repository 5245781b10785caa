// SPDX-License-Identifier: GPL-2.0-or-later
//
// The parsers of quotes, signatures and keys, on bytes that a TPM could have
// written; with a TPM: quote_test.cc.
#include "tpm/attest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "tpm/pcr_selection.h"
#include "tpm/quote_check.h"
#include "tpm/tss2_log.h"

namespace imasnap {
namespace {

Bytes Hex(std::string_view hex) { return *FromHex(hex); }

const std::string kDigest(64, 'd');
// Part 2, 10.12.12: magic, type, qualifiedSigner, extraData, clockInfo (clock,
// resetCount, restartCount, safe), firmwareVersion, pcrSelect, pcrDigest.
const std::string kQuoteHex =
    "ff544347"
    "8018"
    "0004000bcafe"
    "000200ff"
    "0000000000001234"
    "00000006"
    "00000002"
    "01"
    "2020010203040506"
    "00000002"
    "0004"
    "03"
    "000400"
    "000b"
    "03"
    "000c00"
    "0020" +
    kDigest;

TEST(AttestTest, ReadsEveryFieldOfAQuote) {
  const auto quote = ParseAttestation(Hex(kQuoteHex));
  ASSERT_TRUE(quote.ok()) << quote.error().ToString();
  EXPECT_EQ(ToHex(quote->qualified_signer), "000bcafe");
  EXPECT_EQ(ToHex(quote->nonce), "00ff");
  EXPECT_EQ(quote->clock, (ClockInfo{0x1234, 6, 2, true}));
  EXPECT_EQ(quote->firmware_version, 0x2020010203040506U);
  EXPECT_EQ(ToText(quote->selection), "sha1:10+sha256:10,11");
  EXPECT_EQ(ToHex(quote->pcr_digest), kDigest);
}

TEST(AttestTest, RefusesAQuoteCutAtAnyByteOrWithMoreBehindIt) {
  const Bytes whole = Hex(kQuoteHex);
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto cut = ParseAttestation(ByteView(whole).first(size));
    ASSERT_FALSE(cut.ok()) << size;
    EXPECT_EQ(cut.error().code, ErrorCode::kMalformed);
  }
  const auto more = ParseAttestation(Hex(kQuoteHex + "00"));
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().cause, Cause::kTrailingBytes);
}

TEST(AttestTest, RefusesBytesThatAreNotAQuote) {
  std::string hex = kQuoteHex;
  hex.replace(0, 8, "ff544348");
  EXPECT_EQ(ParseAttestation(Hex(hex)).error().cause, Cause::kNotAQuote);
  hex = kQuoteHex;
  hex.replace(8, 4, "8017");  // TPM_ST_ATTEST_CERTIFY
  EXPECT_EQ(ParseAttestation(Hex(hex)).error().cause, Cause::kWrongType);
  hex = kQuoteHex;
  hex.replace(64, 2, "02");
  EXPECT_EQ(ParseAttestation(Hex(hex)).error().cause, Cause::kSyntax);
}

const std::string kRsaSignature =
    "0014"
    "000b"
    "0004"
    "01020304";

// tpm2-tss would print that it is.
TEST(AttestTest, AFieldOutOfRangeIsOnlySaidInTheError) {
  std::string large = kQuoteHex;
  const size_t selection = large.find("000b03000c00");
  ASSERT_NE(selection, std::string::npos);
  large.replace(selection, 12, "000b05000c000000");
  KeepTss2Quiet();
  ::testing::internal::CaptureStderr();
  const auto quote = ParseAttestation(Hex(large));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  ASSERT_FALSE(quote.ok());
  EXPECT_EQ(quote.error().cause, Cause::kOutOfRange);
}

TEST(AttestTest, ReadsSignaturesOfTheThreeSchemes) {
  auto signature = ParseQuoteSignature(Hex(kRsaSignature));
  ASSERT_TRUE(signature.ok()) << signature.error().ToString();
  EXPECT_EQ(signature->scheme, QuoteSignature::Scheme::kRsassa);
  EXPECT_EQ(signature->hash, HashAlg::kSha256);
  EXPECT_EQ(ToHex(signature->rsa), "01020304");
  signature =
      ParseQuoteSignature(Hex("0016"
                              "000c"
                              "0002"
                              "0a0b"));
  ASSERT_TRUE(signature.ok());
  EXPECT_EQ(signature->scheme, QuoteSignature::Scheme::kRsapss);
  EXPECT_EQ(signature->hash, HashAlg::kSha384);
  signature =
      ParseQuoteSignature(Hex("0018"
                              "000b"
                              "0001"
                              "05"
                              "0002"
                              "0607"));
  ASSERT_TRUE(signature.ok());
  EXPECT_EQ(signature->scheme, QuoteSignature::Scheme::kEcdsa);
  EXPECT_EQ(ToHex(signature->r), "05");
  EXPECT_EQ(ToHex(signature->s), "0607");
}

TEST(AttestTest, RefusesOtherSignatures) {
  const Bytes whole = Hex(kRsaSignature);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseQuoteSignature(ByteView(whole).first(size)).ok()) << size;
  }
  EXPECT_FALSE(ParseQuoteSignature(Hex(kRsaSignature + "00")).ok());
  EXPECT_EQ(ParseQuoteSignature(Hex("0014"
                                    "0004"
                                    "0001"
                                    "01"))
                .error()
                .cause,
            Cause::kSignatureHash);
  EXPECT_FALSE(ParseQuoteSignature(Hex("0005"
                                       "000b" +
                                       kDigest))
                   .ok());  // HMAC
}

struct KeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, KeyFree>;

std::string PublicPem(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(bio, key);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string pem(text, static_cast<size_t>(size));
  BIO_free(bio);
  return pem;
}

TEST(AttestTest, VerifiesRsapssAndRefusesOtherSchemesAndHashesOfIt) {
  const KeyPtr key(EVP_RSA_gen(2048));
  const std::string message = "a message";
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* options = nullptr;
  ASSERT_EQ(EVP_DigestSignInit(context, &options, EVP_sha256(), nullptr, key.get()), 1);
  ASSERT_EQ(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
  Bytes raw(256);
  size_t size = raw.size();
  ASSERT_EQ(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(raw.data()), &size,
                           reinterpret_cast<const unsigned char*>(message.data()), message.size()),
            1);
  EVP_MD_CTX_free(context);
  const auto ak = AttestationKey::Parse(AsBytes(PublicPem(key.get())));
  ASSERT_TRUE(ak.ok()) << ak.error().ToString();
  EXPECT_TRUE(ak->tpm_name().empty());
  QuoteSignature signature;
  signature.scheme = QuoteSignature::Scheme::kRsapss;
  signature.rsa = raw;
  EXPECT_TRUE(ak->Verify(AsBytes(message), signature).ok());
  EXPECT_FALSE(ak->Verify(AsBytes("another message"), signature).ok());
  signature.scheme = QuoteSignature::Scheme::kRsassa;
  EXPECT_EQ(ak->Verify(AsBytes(message), signature).error().code, ErrorCode::kMismatch);
  signature.scheme = QuoteSignature::Scheme::kRsapss;
  signature.hash = HashAlg::kSha384;
  EXPECT_EQ(ak->Verify(AsBytes(message), signature).error().code, ErrorCode::kMismatch);
  signature.scheme = QuoteSignature::Scheme::kEcdsa;
  EXPECT_EQ(ak->Verify(AsBytes(message), signature).error().cause, Cause::kSignatureScheme);
}

Bytes SignRsassa(EVP_PKEY* key, const EVP_MD* hash, ByteView message) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EXPECT_EQ(EVP_DigestSignInit(context, nullptr, hash, nullptr, key), 1);
  Bytes raw(256);
  size_t size = raw.size();
  EXPECT_EQ(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(raw.data()), &size,
                           reinterpret_cast<const unsigned char*>(message.data()), message.size()),
            1);
  EVP_MD_CTX_free(context);
  return raw;
}

// The digest over the PCRs is of the signature's hash.
TEST(AttestTest, QuoteMustBeSignedAndAnswerTheNonceAndHaveADigestOfItsHash) {
  const KeyPtr key(EVP_RSA_gen(2048));
  const std::string pem = PublicPem(key.get());
  QuoteEvidence evidence;
  evidence.message = {"message", Hex(kQuoteHex)};
  evidence.ak.bytes.assign(AsBytes(pem).begin(), AsBytes(pem).end());
  evidence.nonce = Hex("00ff");
  const auto sign = [&](std::string_view scheme_and_hash, const EVP_MD* hash) {
    evidence.signature = {"signature", Hex(std::string(scheme_and_hash) + "0100")};
    AppendBytes(SignRsassa(key.get(), hash, evidence.message.bytes), &evidence.signature.bytes);
    return CheckQuote(evidence);
  };
  const auto good = sign("0014000b", EVP_sha256());
  ASSERT_TRUE(good.ok()) << good.error().ToString();
  EXPECT_EQ(good->digest_alg, HashAlg::kSha256);
  auto bad = sign("0014000c", EVP_sha384());
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(bad.error().cause, Cause::kWrongLength);
  EXPECT_EQ(bad.error().file, "message");
  bad = sign("0014000b", EVP_sha384());
  EXPECT_EQ(bad.error().cause, Cause::kSignature);
  evidence.nonce = Hex("00fe");
  bad = sign("0014000b", EVP_sha256());
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(bad.error().cause, Cause::kNonce);
  EXPECT_EQ(bad.error().expected, "00fe");
  EXPECT_EQ(bad.error().found, "00ff");
}

TEST(AttestTest, RefusesWeakAndOtherKeys) {
  const KeyPtr weak(EVP_RSA_gen(1024));
  auto ak = AttestationKey::Parse(AsBytes(PublicPem(weak.get())));
  ASSERT_FALSE(ak.ok());
  EXPECT_EQ(ak.error().code, ErrorCode::kCannotCheck);
  EXPECT_EQ(ak.error().cause, Cause::kWeakKey);
  for (const char* curve : {"secp224r1", "secp256k1"}) {
    const KeyPtr other(EVP_EC_gen(curve));
    ak = AttestationKey::Parse(AsBytes(PublicPem(other.get())));
    ASSERT_FALSE(ak.ok());
    EXPECT_EQ(ak.error().cause, Cause::kCurve);
  }
  const KeyPtr edwards(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  ak = AttestationKey::Parse(AsBytes(PublicPem(edwards.get())));
  ASSERT_FALSE(ak.ok());
  EXPECT_EQ(ak.error().cause, Cause::kKeyType);
  const KeyPtr good(EVP_EC_gen("P-256"));
  EXPECT_TRUE(AttestationKey::Parse(AsBytes(PublicPem(good.get()))).ok());
  EXPECT_FALSE(AttestationKey::Parse(AsBytes(PublicPem(good.get()) + "more")).ok());
  EXPECT_EQ(AttestationKey::Parse(AsBytes("-----BEGIN nonsense")).error().code,
            ErrorCode::kMalformed);
  EXPECT_EQ(AttestationKey::Parse(AsBytes("")).error().code, ErrorCode::kMalformed);
}

// Part 2, 12.2.4: a P-256 signing key. `attributes`: fixedTPM (1), fixedParent
// (4), sensitiveDataOrigin (5), userWithAuth (6), restricted (16), sign (18).
std::string EccPublicHex(EVP_PKEY* key, const std::string& attributes) {
  std::array<unsigned char, 65> point{};
  size_t size = 0;
  EVP_PKEY_get_octet_string_param(key, "pub", point.data(), point.size(), &size);
  const std::string hex = ToHex(std::as_bytes(std::span(point)));
  const std::string area =
      "0023"
      "000b" +
      attributes +
      "0000"
      "0010"
      "0018"
      "000b"
      "0003"
      "0010" +
      "0020" + hex.substr(2, 64) + "0020" + hex.substr(66, 64);
  std::string length = "0000";
  length.replace(2, 2, ToHex(Bytes{static_cast<std::byte>(area.size() / 2)}));
  return length + area;
}

TEST(AttestTest, OnlyRestrictedKeysOfOneTpmAreAttestationKeys) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const Bytes good = Hex(EccPublicHex(key.get(), "00050072"));
  const auto ak = AttestationKey::Parse(good);
  ASSERT_TRUE(ak.ok()) << ak.error().ToString();
  EXPECT_TRUE(ak->tpm_name().starts_with("000b"));
  const auto pem = AttestationKey::Parse(AsBytes(PublicPem(key.get())));
  ASSERT_TRUE(pem.ok());
  EXPECT_EQ(ak->id(), pem->id());
  EXPECT_EQ(ak->Pem().value(), PublicPem(key.get()));
  for (const auto& [attributes, cause] :
       std::map<std::string, Cause>{{"00040072", Cause::kNotRestricted},
                                    {"00070072", Cause::kNotRestricted},  // decrypts too
                                    {"00010072", Cause::kNotSigningKey},
                                    {"00050070", Cause::kNotFixed},
                                    {"00050052", Cause::kNotFixed}}) {
    const auto refused = AttestationKey::Parse(Hex(EccPublicHex(key.get(), attributes)));
    ASSERT_FALSE(refused.ok()) << attributes;
    EXPECT_EQ(refused.error().code, ErrorCode::kCannotCheck);
    EXPECT_EQ(refused.error().cause, cause);
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(AttestationKey::Parse(ByteView(good).first(size)).ok()) << size;
  }
  Bytes off_curve = good;
  off_curve.back() ^= std::byte{1};
  EXPECT_FALSE(AttestationKey::Parse(off_curve).ok());
}

// A verifier remembers quotes by the key's id.
TEST(AttestTest, AKeyHasOneIdHoweverItsPemIsWritten) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const auto named = AttestationKey::Parse(AsBytes(PublicPem(key.get())));
  ASSERT_TRUE(named.ok());
  for (const auto& [parameter, value] : std::map<const char*, const char*>{
           {"point-format", "compressed"}, {"encoding", "explicit"}}) {
    ASSERT_EQ(EVP_PKEY_set_utf8_string_param(key.get(), parameter, value), 1);
    const std::string pem = PublicPem(key.get());
    const auto other = AttestationKey::Parse(AsBytes(pem));
    ASSERT_TRUE(other.ok()) << other.error().ToString();
    EXPECT_EQ(other->id(), named->id()) << pem;
    EXPECT_EQ(other->Pem().value(), named->Pem().value());
  }
}

// tpm2-tools call a bank sha3_256 that the kernel calls tpm_alg_27.
TEST(PcrsOfTest, FindsTheValuesOfABankByEachOfItsNames) {
  CheckedQuote quote;
  quote.attestation.selection = {{0x27, {0, 10}}};
  quote.attestation.pcr_digest = Hex(kDigest);
  for (const char* name : {"sha3_256", "sha3-256", "tpm_alg_27", "tpm_alg_0027"}) {
    const auto values = ParsePcrText(
        fmt::format("{}:\n  0 : 0x{}\n  16: 0x{}\n", name, kDigest, kDigest), "values");
    ASSERT_TRUE(values.ok()) << values.error().ToString();
    const auto pcrs = PcrsOf(quote, *values);
    ASSERT_TRUE(pcrs.ok());
    EXPECT_EQ(pcrs->given, (PcrValues{{"tpm_alg_27", {{0, Digest::From(Hex(kDigest))}}}})) << name;
  }
}

TEST(PcrSelectionTest, ReadsAndWritesSelections) {
  const auto selection = ParsePcrSelection("sha256:11,10+sha1:10");
  ASSERT_TRUE(selection.ok()) << selection.error().ToString();
  EXPECT_EQ(ToText(*selection), "sha256:10,11+sha1:10");
  for (const char* bad : {"", "sha256", "sha256:", "sha256:24", "sha256:-1", "sha256:10,", "+",
                          "sha256:10+", "sha257:10", "sha256:10+sha256:11", "sha256:1 0", "10"}) {
    const auto refused = ParsePcrSelection(bad);
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  }
}

}  // namespace
}  // namespace imasnap
