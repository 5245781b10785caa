// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

namespace imasnap {
namespace {

struct AlgInfo {
  HashAlg alg;
  uint16_t tpm_id;
  size_t size;
  const char* kernel_name;
};

constexpr std::array<AlgInfo, kHashAlgCount> kAlgs = {{
    {HashAlg::kSha1, 0x0004, 20, "sha1"},
    {HashAlg::kSha256, 0x000b, 32, "sha256"},
    {HashAlg::kSha384, 0x000c, 48, "sha384"},
    {HashAlg::kSha512, 0x000d, 64, "sha512"},
    {HashAlg::kSm3, 0x0012, 32, "sm3"},
    {HashAlg::kSha3_256, 0x0027, 32, "sha3-256"},
    {HashAlg::kSha3_384, 0x0028, 48, "sha3-384"},
    {HashAlg::kSha3_512, 0x0029, 64, "sha3-512"},
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

const uint8_t* Octets(ByteView bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }
uint8_t* Octets(Digest* digest) { return reinterpret_cast<uint8_t*>(digest->bytes.data()); }

void Require(bool done) {
  if (!done) {
    throw std::runtime_error("OpenSSL failed to compute a hash");
  }
}

// OpenSSL's implementation, or null if its configuration lacks it: that for FIPS lacks
// SM3. It is looked up only once, because that takes longer than a hash.
const EVP_MD* Method(HashAlg alg) {
  static const auto kMethods = [] {
    std::array<const EVP_MD*, kHashAlgCount> methods{};
    for (const AlgInfo& info : kAlgs) {
      methods[static_cast<size_t>(info.alg)] = EVP_MD_fetch(nullptr, info.kernel_name, nullptr);
    }
    return methods;
  }();
  return kMethods[static_cast<size_t>(alg)];
}

std::optional<HashAlg> IfComputed(HashAlg alg) {
  return Method(alg) != nullptr ? std::optional(alg) : std::nullopt;
}

}  // namespace

size_t DigestSize(HashAlg alg) { return Info(alg).size; }
std::string_view HashName(HashAlg alg) { return Info(alg).kernel_name; }
uint16_t TpmAlgId(HashAlg alg) { return Info(alg).tpm_id; }

std::optional<HashAlg> HashFromTpmAlgId(uint16_t id) {
  for (const AlgInfo& info : kAlgs) {
    if (info.tpm_id == id) {
      return IfComputed(info.alg);
    }
  }
  return std::nullopt;
}

std::optional<HashAlg> HashFromName(std::string_view name) {
  for (const AlgInfo& info : kAlgs) {
    if (name == info.kernel_name) {
      return IfComputed(info.alg);
    }
  }
  if (name == "sm3-256") {
    return IfComputed(HashAlg::kSm3);
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

Hasher::Hasher(HashAlg alg) : alg_(alg), context_(EVP_MD_CTX_new()) {
  Require(context_ && EVP_DigestInit_ex2(context_.get(), Method(alg), nullptr) == 1);
}

Hasher::Hasher(const Hasher& other) : alg_(other.alg_), context_(EVP_MD_CTX_new()) {
  Require(context_ && EVP_MD_CTX_copy_ex(context_.get(), other.context_.get()) == 1);
}

Hasher& Hasher::operator=(const Hasher& other) { return *this = Hasher(other); }

void Hasher::Update(ByteView bytes) {
  Require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

Digest Hasher::Finish() {
  Digest digest;
  digest.size = static_cast<uint8_t>(DigestSize(alg_));
  Require(EVP_DigestFinal_ex(context_.get(), Octets(&digest), nullptr) == 1 &&
          EVP_DigestInit_ex2(context_.get(), nullptr, nullptr) == 1);
  return digest;
}

Digest Hasher::Peek() const { return Hasher(*this).Finish(); }

void Hasher::FreeContext::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Digest HashBytes(HashAlg alg, ByteView bytes) {
  Hasher hasher(alg);
  hasher.Update(bytes);
  return hasher.Finish();
}

Digest HmacSha256(ByteView key, ByteView text) {
  Digest digest;
  size_t size = 0;
  Require(EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA2-256", nullptr, key.data(), key.size(),
                    Octets(text), text.size(), Octets(&digest), digest.bytes.size(),
                    &size) != nullptr);
  digest.size = static_cast<uint8_t>(size);
  return digest;
}

}  // namespace imasnap
