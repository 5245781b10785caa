// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/bytes.h"

#include <algorithm>
#include <array>
#include <limits>

namespace imasnap {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return -1;
}

using HexPairs = std::array<std::array<char, 2>, 256>;

constexpr HexPairs MakeHexPairs(std::string_view digits) {
  HexPairs pairs{};
  for (size_t value = 0; value < pairs.size(); ++value) {
    pairs[value] = {digits[value >> 4], digits[value & 15]};
  }
  return pairs;
}

constexpr HexPairs kLowerPairs = MakeHexPairs("0123456789abcdef");
constexpr HexPairs kUpperPairs = MakeHexPairs("0123456789ABCDEF");

void AppendHexPairs(ByteView bytes, const HexPairs& pairs, std::string* out) {
  const size_t at = out->size();
  out->resize(at + 2 * bytes.size());
  char* to = out->data() + at;
  for (const std::byte b : bytes) {
    to = std::ranges::copy(pairs[std::to_integer<size_t>(b)], to).out;
  }
}

}  // namespace

uint64_t LoadUint(ByteView bytes, ByteOrder order) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t at = order == ByteOrder::kBig ? i : bytes.size() - 1 - i;
    value = value << 8 | std::to_integer<uint64_t>(bytes[at]);
  }
  return value;
}

void AppendU32(uint32_t value, ByteOrder order, Bytes* out) {
  for (int i = 0; i < 4; ++i) {
    const int shift = order == ByteOrder::kLittle ? 8 * i : 24 - 8 * i;
    out->push_back(static_cast<std::byte>(value >> shift & 0xff));
  }
}

void AppendBytes(ByteView bytes, Bytes* out) {
  out->insert(out->end(), bytes.begin(), bytes.end());
}

void AppendHex(ByteView bytes, std::string* out) { AppendHexPairs(bytes, kLowerPairs, out); }

std::string ToHex(ByteView bytes) {
  std::string text;
  AppendHex(bytes, &text);
  return text;
}

std::string ToHexUpper(ByteView bytes) {
  std::string text;
  AppendHexPairs(bytes, kUpperPairs, &text);
  return text;
}

std::optional<Bytes> FromHex(std::string_view hex) {
  if (hex.size() % 2 != 0) {
    return std::nullopt;
  }
  Bytes bytes;
  bytes.reserve(hex.size() / 2);
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = HexDigit(hex[i]);
    const int low = HexDigit(hex[i + 1]);
    if (high < 0 || low < 0) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<std::byte>(high << 4 | low));
  }
  return bytes;
}

std::string Printable(std::string_view text) {
  constexpr size_t kLongest = 256;
  std::string out;
  for (const char c : text.substr(0, kLongest)) {
    if (c >= ' ' && c <= '~') {
      out.push_back(c);
    } else {
      out.append("\\x");
      AppendHex(AsBytes(std::string_view(&c, 1)), &out);
    }
  }
  if (text.size() > kLongest) {
    out.append("...");
  }
  return out;
}

std::optional<uint64_t> ParseDecimal(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) {
    return std::nullopt;
  }
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    const auto digit = static_cast<uint64_t>(c - '0');
    if (value > (std::numeric_limits<uint64_t>::max() - digit) / 10) {
      return std::nullopt;
    }
    value = value * 10 + digit;
  }
  return value;
}

std::optional<uint64_t> ParsePaddedDecimal(std::string_view text) {
  while (text.size() > 1 && text[0] == '0') {
    text.remove_prefix(1);
  }
  return ParseDecimal(text);
}

Result<size_t> SpanSource::Read(std::span<std::byte> out) {
  const size_t n = std::min(out.size(), rest_.size());
  std::copy_n(rest_.begin(), n, out.begin());
  rest_ = rest_.subspan(n);
  return n;
}

}  // namespace imasnap
