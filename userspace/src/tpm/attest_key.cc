// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <tss2/tss2_mu.h>

#include <algorithm>
#include <array>
#include <optional>

#include "tpm/attest.h"

namespace imasnap {
namespace {

constexpr int kMinRsaBits = 2048;
constexpr UINT32 kDefaultExponent = 65537;
constexpr std::string_view kPemBegin = "-----BEGIN ";

template <auto& Free>
struct FreeWith {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using BioPtr = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using BnPtr = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;
using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, FreeWith<OSSL_PARAM_free>>;
using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>>;
using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;
using EcdsaPtr = std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>>;

struct Curve {
  TPMI_ECC_CURVE tpm;
  size_t bytes;  // of a coordinate
  const char* name;
  const char* openssl;  // the name OpenSSL gives
};
constexpr std::array<Curve, 3> kCurves = {{
    {TPM2_ECC_NIST_P256, 32, "P-256", "prime256v1"},
    {TPM2_ECC_NIST_P384, 48, "P-384", "secp384r1"},
    {TPM2_ECC_NIST_P521, 66, "P-521", "secp521r1"},
}};

Error Malformed(Cause cause, const std::string& problem) {
  return MakeError(ErrorCode::kMalformed, cause,
                   fmt::format("is not a public key (TPM2B_PUBLIC or PEM): {}", problem));
}

Error Unfit(Cause cause, const std::string& problem) {
  return MakeError(ErrorCode::kCannotCheck, cause,
                   fmt::format("is not a trustworthy attestation key: {}", problem));
}

BnPtr ToNumber(ByteView bytes) {
  return BnPtr(BN_bin2bn(Raw(bytes), static_cast<int>(bytes.size()), nullptr));
}

template <typename T>
ByteView Buffer(const T& sized) {
  return std::as_bytes(std::span(sized.buffer, sized.size));
}

// Null if OpenSSL does not accept the parameters as a key.
EVP_PKEY* MakeKey(const char* type, OSSL_PARAM_BLD* builder) {
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
  const KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return nullptr;
  }
  return key;
}

EVP_PKEY* RsaKey(const TPMT_PUBLIC& area) {
  const UINT32 exponent = area.parameters.rsaDetail.exponent;
  const BnPtr n = ToNumber(Buffer(area.unique.rsa));
  const BnPtr e(BN_new());
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder ||
      BN_set_word(e.get(), exponent == 0 ? kDefaultExponent : exponent) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  return MakeKey("RSA", builder.get());
}

EVP_PKEY* EccKey(const TPMT_PUBLIC& area) {
  const auto* curve = std::ranges::find(kCurves, area.parameters.eccDetail.curveID, &Curve::tpm);
  if (curve == kCurves.end()) {
    return nullptr;
  }
  Bytes point = {std::byte{POINT_CONVERSION_UNCOMPRESSED}};
  for (const ByteView coordinate : {Buffer(area.unique.ecc.x), Buffer(area.unique.ecc.y)}) {
    if (coordinate.size() > curve->bytes) {
      return nullptr;
    }
    point.resize(point.size() + curve->bytes - coordinate.size());  // a TPM may omit leading zeros
    AppendBytes(coordinate, &point);
  }
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve->name, 0) !=
          1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return nullptr;
  }
  return MakeKey("EC", builder.get());
}

// A key that signs any data could sign a quote that no TPM made. A key that can be
// moved does not prove which TPM used it (TPM 2.0 Part 1, restricted keys and
// fixedTPM).
Status CheckAttributes(TPMA_OBJECT attributes) {
  if ((attributes & TPMA_OBJECT_SIGN_ENCRYPT) == 0) {
    return Unfit(Cause::kNotSigningKey, "it is not a signing key");
  }
  if ((attributes & TPMA_OBJECT_RESTRICTED) == 0 || (attributes & TPMA_OBJECT_DECRYPT) != 0) {
    return Unfit(Cause::kNotRestricted,
                 "it may sign data that the TPM did not make (it is not restricted)");
  }
  constexpr TPMA_OBJECT kFixed = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_SENSITIVEDATAORIGIN;
  if ((attributes & kFixed) != kFixed) {
    return Unfit(
        Cause::kNotFixed,
        "it was not made in one TPM, or can leave it (it lacks fixedTPM or sensitiveDataOrigin)");
  }
  return {};
}

std::optional<Bytes> EcdsaDer(const QuoteSignature& signature) {
  const EcdsaPtr ecdsa(ECDSA_SIG_new());
  BnPtr r = ToNumber(signature.r);
  BnPtr s = ToNumber(signature.s);
  if (!ecdsa || !r || !s || ECDSA_SIG_set0(ecdsa.get(), r.get(), s.get()) != 1) {
    return std::nullopt;
  }
  static_cast<void>(r.release());  // set0 owns them now
  static_cast<void>(s.release());
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(ecdsa.get(), &der);
  if (size <= 0) {
    return std::nullopt;
  }
  const auto free = [](unsigned char* p) { OPENSSL_free(p); };
  const std::unique_ptr<unsigned char, decltype(free)> owned(der, free);
  const ByteView view = std::as_bytes(std::span(der, static_cast<size_t>(size)));
  return Bytes(view.begin(), view.end());
}

}  // namespace

void AttestationKey::KeyDeleter::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

Result<AttestationKey::KeyPtr> AttestationKey::FromPem(ByteView bytes) {
  const BioPtr bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  // Without a callback OpenSSL would ask for the password of an encrypted key on the
  // terminal.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  KeyPtr key(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, no_password, nullptr) : nullptr);
  if (!key) {
    return Malformed(Cause::kSyntax, "OpenSSL cannot read it as a PEM public key");
  }
  std::array<char, 1> more{};
  if (BIO_read(bio.get(), more.data(), more.size()) > 0) {
    return Malformed(Cause::kTrailingBytes, "something follows the PEM public key");
  }
  return key;
}

Status AttestationKey::ReadPublicArea(ByteView bytes) {
  constexpr size_t kSize = sizeof(UINT16);
  if (bytes.size() < kSize ||
      LoadUint(bytes.first(kSize), ByteOrder::kBig) != bytes.size() - kSize) {
    return Malformed(Cause::kWrongLength, "its first two bytes are not its size");
  }
  const ByteView area_bytes = bytes.subspan(kSize);
  TPMT_PUBLIC area{};
  size_t end = 0;
  if (Tss2_MU_TPMT_PUBLIC_Unmarshal(Raw(area_bytes), area_bytes.size(), &end, &area) !=
          TSS2_RC_SUCCESS ||
      end != area_bytes.size()) {
    return Malformed(Cause::kOutOfRange, "a field is cut short, out of range or too many");
  }
  if (area.type != TPM2_ALG_RSA && area.type != TPM2_ALG_ECC) {
    return Unfit(Cause::kKeyType, "it is neither RSA nor ECC");
  }
  IMASNAP_RETURN_IF_ERROR(CheckAttributes(area.objectAttributes));
  key_.reset(area.type == TPM2_ALG_RSA ? RsaKey(area) : EccKey(area));
  if (!key_) {
    return Unfit(Cause::kCurve,
                 "OpenSSL does not accept it, or its curve is not P-256, P-384 or P-521");
  }
  const auto name_alg = HashFromTpmAlgId(area.nameAlg);
  if (!name_alg) {
    return Malformed(Cause::kUnknownName, "its nameAlg is not known");
  }
  tpm_name_ = fmt::format("{:04x}{}", area.nameAlg, HashBytes(*name_alg, area_bytes).Hex());
  return {};
}

Status AttestationKey::CheckStrength() const {
  if (EVP_PKEY_is_a(key_.get(), "RSA") == 1) {
    if (EVP_PKEY_get_bits(key_.get()) < kMinRsaBits) {
      return Unfit(Cause::kWeakKey, fmt::format("it is an RSA key of {} bits; {} are required",
                                                EVP_PKEY_get_bits(key_.get()), kMinRsaBits));
    }
  } else if (EVP_PKEY_is_a(key_.get(), "EC") == 1) {
    std::array<char, 64> group{};
    if (EVP_PKEY_get_group_name(key_.get(), group.data(), group.size(), nullptr) != 1 ||
        std::ranges::find(kCurves, std::string_view(group.data()), &Curve::openssl) ==
            kCurves.end()) {
      return Unfit(Cause::kCurve, "its curve is not P-256, P-384 or P-521");
    }
  } else {
    return Unfit(Cause::kKeyType, "it is neither RSA nor ECC");
  }
  const KeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr));
  if (!context || EVP_PKEY_public_check(context.get()) != 1) {
    return Unfit(Cause::kSyntax, "OpenSSL reports that it is not valid");
  }
  return {};
}

Status AttestationKey::SetId() {
  // A PEM key may have explicit curve parameters or a compressed point, and so another
  // hash.
  if (EVP_PKEY_is_a(key_.get(), "EC") == 1 &&
      (EVP_PKEY_set_utf8_string_param(key_.get(), OSSL_PKEY_PARAM_EC_ENCODING,
                                      OSSL_PKEY_EC_ENCODING_GROUP) != 1 ||
       EVP_PKEY_set_utf8_string_param(key_.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                      OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) != 1)) {
    return MakeError(ErrorCode::kFailed, "OpenSSL failed to encode the key");
  }
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || i2d_PUBKEY_bio(bio.get(), key_.get()) != 1) {
    return MakeError(ErrorCode::kFailed, "OpenSSL failed to write the key");
  }
  char* der = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &der);
  id_ = HashBytes(HashAlg::kSha256, std::as_bytes(std::span(der, static_cast<size_t>(size)))).Hex();
  return {};
}

Result<AttestationKey> AttestationKey::Parse(ByteView bytes) {
  AttestationKey key;
  if (AsText(bytes).starts_with(kPemBegin)) {
    IMASNAP_ASSIGN(key.key_, FromPem(bytes));
  } else {
    IMASNAP_RETURN_IF_ERROR(key.ReadPublicArea(bytes));
  }
  Status status = key.CheckStrength();
  if (status.ok()) {
    status = key.SetId();
  }
  ERR_clear_error();  // other users of OpenSSL must not see what was refused here
  if (!status.ok()) {
    return std::move(status.error());
  }
  return key;
}

Status AttestationKey::Verify(ByteView message, const QuoteSignature& signature) const {
  const bool ecdsa = signature.scheme == QuoteSignature::Scheme::kEcdsa;
  if ((EVP_PKEY_is_a(key_.get(), "EC") == 1) != ecdsa) {
    return MakeError(ErrorCode::kMismatch, Cause::kSignatureScheme,
                     fmt::format("is a signature of {} key, the AK is {} key",
                                 ecdsa ? "an ECC" : "an RSA", ecdsa ? "an RSA" : "an ECC"));
  }
  const std::optional<Bytes> der = ecdsa ? EcdsaDer(signature) : std::nullopt;
  const ByteView raw = der ? ByteView(*der) : ByteView(signature.rsa);
  const DigestContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;  // belongs to the context
  const std::string hash(HashName(signature.hash));
  if (!context || EVP_DigestVerifyInit_ex(context.get(), &options, hash.c_str(), nullptr, nullptr,
                                          key_.get(), nullptr) != 1) {
    return MakeError(ErrorCode::kCannotCheck, Cause::kSignatureHash,
                     fmt::format("OpenSSL cannot verify signatures with {}", hash));
  }
  if (signature.scheme == QuoteSignature::Scheme::kRsapss &&
      (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
       EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_AUTO) != 1)) {
    return MakeError(ErrorCode::kCannotCheck, Cause::kSignatureScheme,
                     "OpenSSL cannot verify RSAPSS");
  }
  const int verified =
      EVP_DigestVerify(context.get(), Raw(raw), raw.size(), Raw(message), message.size());
  ERR_clear_error();
  if (verified != 1) {
    return MakeError(ErrorCode::kMismatch, Cause::kSignature,
                     "is not the AK's signature of the quote");
  }
  return {};
}

Result<std::string> AttestationKey::Pem() const {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PUBKEY(bio.get(), key_.get()) != 1) {
    return MakeError(ErrorCode::kFailed, "OpenSSL failed to write the key as PEM");
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

}  // namespace imasnap
