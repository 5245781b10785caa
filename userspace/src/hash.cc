// SPDX-License-Identifier: GPL-2.0-or-later
#include "hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace imasnap {
namespace {

struct AlgInfo {
  HashAlg alg;
  uint16_t tpm_id;
  size_t size;
  const char* kernel_name;
  const char* evp_name;
};

constexpr std::array<AlgInfo, kHashAlgCount> kAlgs = {{
    {HashAlg::kSha1, 0x0004, 20, "sha1", "SHA1"},
    {HashAlg::kSha256, 0x000b, 32, "sha256", "SHA256"},
    {HashAlg::kSha384, 0x000c, 48, "sha384", "SHA384"},
    {HashAlg::kSha512, 0x000d, 64, "sha512", "SHA512"},
    {HashAlg::kSm3, 0x0012, 32, "sm3", "SM3"},
    {HashAlg::kSha3_256, 0x0027, 32, "sha3-256", "SHA3-256"},
    {HashAlg::kSha3_384, 0x0028, 48, "sha3-384", "SHA3-384"},
    {HashAlg::kSha3_512, 0x0029, 64, "sha3-512", "SHA3-512"},
}};

struct NamedSize {
  std::string_view name;
  size_t size;
};

// hash_algo_name[] and hash_digest_size[] of lib/crypto/hash_info.c, and the
// name that SM3 had before.
constexpr auto kKernelSizes = std::to_array<NamedSize>({
    {"md4", 16},         {"md5", 16},      {"sha1", 20},     {"rmd160", 20},   {"sha256", 32},
    {"sha384", 48},      {"sha512", 64},   {"sha224", 28},   {"rmd128", 16},   {"rmd256", 32},
    {"rmd320", 40},      {"wp256", 32},    {"wp384", 48},    {"wp512", 64},    {"tgr128", 16},
    {"tgr160", 20},      {"tgr192", 24},   {"sm3", 32},      {"sm3-256", 32},  {"streebog256", 32},
    {"streebog512", 64}, {"sha3-256", 32}, {"sha3-384", 48}, {"sha3-512", 64},
});

const AlgInfo& Info(HashAlg alg) { return kAlgs[static_cast<size_t>(alg)]; }

}  // namespace

size_t DigestSize(HashAlg alg) { return Info(alg).size; }
std::string_view HashName(HashAlg alg) { return Info(alg).kernel_name; }
uint16_t TpmAlgId(HashAlg alg) { return Info(alg).tpm_id; }

std::optional<HashAlg> HashFromTpmAlgId(uint16_t id) {
  for (const AlgInfo& info : kAlgs) {
    if (info.tpm_id == id) {
      return info.alg;
    }
  }
  return std::nullopt;
}

std::optional<HashAlg> HashFromName(std::string_view name) {
  for (const AlgInfo& info : kAlgs) {
    if (name == info.kernel_name) {
      return info.alg;
    }
  }
  if (name == "sm3-256") {
    return HashAlg::kSm3;
  }
  constexpr std::string_view kPrefix = "tpm_alg_";
  if (name.starts_with(kPrefix)) {
    const std::string_view hex = name.substr(kPrefix.size());
    uint16_t id = 0;
    const auto [end, err] = std::from_chars(hex.data(), hex.data() + hex.size(), id, 16);
    if (err == std::errc() && end == hex.data() + hex.size()) {
      return HashFromTpmAlgId(id);
    }
  }
  return std::nullopt;
}

std::optional<size_t> KernelDigestSize(std::string_view name) {
  for (const NamedSize& known : kKernelSizes) {
    if (known.name == name) {
      return known.size;
    }
  }
  return std::nullopt;
}

Digest Digest::Filled(size_t size, std::byte value) {
  Digest digest;
  digest.size = static_cast<uint8_t>(size);
  std::fill_n(digest.bytes.begin(), size, value);
  return digest;
}

Digest Digest::From(ByteView view) {
  Digest digest;
  digest.size = static_cast<uint8_t>(std::min(view.size(), kMaxDigestSize));
  std::copy_n(view.begin(), digest.size, digest.bytes.begin());
  return digest;
}

bool Digest::operator==(const Digest& other) const {
  return std::ranges::equal(view(), other.view());
}

void Hasher::ContextDeleter::operator()(EVP_MD_CTX* ctx) const { EVP_MD_CTX_free(ctx); }
void Hasher::MdDeleter::operator()(EVP_MD* md) const { EVP_MD_free(md); }

Result<Hasher> Hasher::Create(HashAlg alg) {
  Hasher hasher;
  hasher.alg_ = alg;
  hasher.md_.reset(EVP_MD_fetch(nullptr, Info(alg).evp_name, nullptr));
  hasher.ctx_.reset(EVP_MD_CTX_new());
  if (!hasher.md_ || !hasher.ctx_ ||
      EVP_DigestInit_ex2(hasher.ctx_.get(), hasher.md_.get(), nullptr) != 1) {
    return MakeError(ErrorCode::kCannotCheck,
                     fmt::format("OpenSSL does not offer {}", HashName(alg)));
  }
  return hasher;
}

void Hasher::Update(ByteView bytes) {
  if (EVP_DigestUpdate(ctx_.get(), bytes.data(), bytes.size()) != 1) {
    failed_ = true;
  }
}

Result<Digest> Hasher::Finish() {
  Digest digest;
  digest.size = static_cast<uint8_t>(DigestSize(alg_));
  if (EVP_DigestFinal_ex(ctx_.get(), reinterpret_cast<unsigned char*>(digest.bytes.data()),
                         nullptr) != 1 ||
      EVP_DigestInit_ex2(ctx_.get(), nullptr, nullptr) != 1) {
    failed_ = true;
  }
  if (failed_) {
    return MakeError(ErrorCode::kFailed,
                     fmt::format("OpenSSL failed to compute {}", HashName(alg_)));
  }
  return digest;
}

Result<Digest> Hasher::Peek() const {
  IMASNAP_ASSIGN(Hasher copy, Create(alg_));
  if (EVP_MD_CTX_copy_ex(copy.ctx_.get(), ctx_.get()) != 1) {
    return MakeError(ErrorCode::kFailed, "OpenSSL failed to copy a hash");
  }
  copy.failed_ = failed_;
  return copy.Finish();
}

Result<Digest> HmacSha256(ByteView key, ByteView text) {
  Digest digest;
  size_t size = 0;
  if (EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(),
                reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                reinterpret_cast<unsigned char*>(digest.bytes.data()), digest.bytes.size(),
                &size) == nullptr) {
    return MakeError(ErrorCode::kFailed, "OpenSSL cannot compute HMAC-SHA-256");
  }
  digest.size = static_cast<uint8_t>(size);
  return digest;
}

}  // namespace imasnap
