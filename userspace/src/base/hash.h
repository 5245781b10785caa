// SPDX-License-Identifier: GPL-2.0-or-later
//
// Hash algorithms of PCR banks, and hashing with OpenSSL.
#ifndef IMASNAP_BASE_HASH_H_
#define IMASNAP_BASE_HASH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

struct evp_md_ctx_st;  // EVP_MD_CTX

namespace imasnap {

// Algorithms a TPM bank can have (TPM 2.0 Part 2, TPM_ALG_ID).
enum class HashAlg : uint8_t {
  kSha1,
  kSha256,
  kSha384,
  kSha512,
  kSm3,
  kSha3_256,
  kSha3_384,
  kSha3_512,
};
inline constexpr size_t kHashAlgCount = 8;
inline constexpr size_t kMaxDigestSize = 64;

size_t DigestSize(HashAlg alg);
// The kernel's name (hash_algo_name[] in lib/crypto/hash_info.c).
std::string_view HashName(HashAlg alg);
uint16_t TpmAlgId(HashAlg alg);
// Nothing for an algorithm that is not known here, or that OpenSSL is configured
// not to compute.
std::optional<HashAlg> HashFromTpmAlgId(uint16_t id);
// Takes the kernel's name, its older name for SM3, or tpm_alg_<hex id>, the
// name of a bank whose algorithm the kernel does not map. Nothing as above.
std::optional<HashAlg> HashFromName(std::string_view name);

// The digest size of any algorithm the kernel has a name for, PCR bank or not;
// nothing for an unknown name.
std::optional<size_t> KernelDigestSize(std::string_view name);

// A digest of at most 64 bytes, by value.
struct Digest {
  std::array<std::byte, kMaxDigestSize> bytes{};
  uint8_t size = 0;

  static Digest Filled(size_t size, std::byte value);
  // `view` must have at most 64 bytes.
  static Digest From(ByteView view);
  ByteView view() const { return ByteView(bytes).first(size); }
  std::string Hex() const { return ToHex(view()); }
  bool operator==(const Digest& other) const;
};

// An incremental hash that can be used again after Finish(). It throws
// std::runtime_error if OpenSSL fails, as it does if there is no memory left.
class Hasher {
 public:
  explicit Hasher(HashAlg alg);
  Hasher(const Hasher& other);
  Hasher(Hasher&& other) noexcept = default;
  Hasher& operator=(const Hasher& other);
  Hasher& operator=(Hasher&& other) noexcept = default;
  ~Hasher() = default;

  void Update(ByteView bytes);
  // Returns the digest of what was added since creation or the last Finish().
  Digest Finish();
  // The digest so far; more may be added.
  Digest Peek() const;

 private:
  struct FreeContext {
    void operator()(evp_md_ctx_st* context) const;
  };

  HashAlg alg_;
  std::unique_ptr<evp_md_ctx_st, FreeContext> context_;
};

// The digest of all bytes in one call.
Digest HashBytes(HashAlg alg, ByteView bytes);

// RFC 2104 with SHA-256.
Digest HmacSha256(ByteView key, ByteView text);

}  // namespace imasnap

#endif  // IMASNAP_BASE_HASH_H_
