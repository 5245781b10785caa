// SPDX-License-Identifier: GPL-2.0-or-later
//
// Views of bytes, byte order and hexadecimal.
#ifndef IMASNAP_BASE_BYTES_H_
#define IMASNAP_BASE_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace imasnap {

using ByteView = std::span<const std::byte>;
using Bytes = std::vector<std::byte>;

// Byte order of the integers in a log. The kernel writes its own order, or
// little-endian when booted with ima_canonical_fmt (ima_fs.c), so only logs of
// big-endian machines without that option are kBig.
enum class ByteOrder { kLittle, kBig };

inline ByteView AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view AsText(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The first 4 bytes of `bytes` (which must hold them) as an integer.
inline uint32_t LoadU32(ByteView bytes, ByteOrder order) {
  const auto at = [&bytes](size_t i) { return std::to_integer<uint32_t>(bytes[i]); };
  return order == ByteOrder::kLittle ? at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24
                                     : at(3) | at(2) << 8 | at(1) << 16 | at(0) << 24;
}
// The first `bytes.size()` (1, 2, 4 or 8) bytes as an integer.
uint64_t LoadUint(ByteView bytes, ByteOrder order);
// As the libraries of the TPM and of OpenSSL take bytes.
inline const uint8_t* Raw(ByteView bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }
void AppendU32(uint32_t value, ByteOrder order, Bytes* out);
void AppendBytes(ByteView bytes, Bytes* out);

void AppendHex(ByteView bytes, std::string* out);  // lowercase
std::string ToHex(ByteView bytes);                 // lowercase
std::string ToHexUpper(ByteView bytes);
// Accepts both cases; nothing for an odd length or a character that is not a hex digit.
std::optional<Bytes> FromHex(std::string_view hex);

// For messages: what is not printable ASCII becomes "\\x1b", and the end of a long text
// "...". A name in a log may have any bytes.
std::string Printable(std::string_view text);

// A plain decimal: digits only, no sign, no leading zero except "0" itself.
std::optional<uint64_t> ParseDecimal(std::string_view text);
// The same with zeros before it: "1" and "00000001" are 1.
std::optional<uint64_t> ParsePaddedDecimal(std::string_view text);

// Where bytes come from. A source that reached its end may grow and deliver
// more later (the kernel's lists do).
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Reads at most `out.size()` bytes, returns how many; 0 at the end.
  virtual Result<size_t> Read(std::span<std::byte> out) = 0;
};

// The bytes of a span, which must outlive it.
class SpanSource : public ByteSource {
 public:
  explicit SpanSource(ByteView bytes) : rest_(bytes) {}
  Result<size_t> Read(std::span<std::byte> out) override;

 private:
  ByteView rest_;
};

}  // namespace imasnap

#endif  // IMASNAP_BASE_BYTES_H_
