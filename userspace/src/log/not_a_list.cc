// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/not_a_list.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "log/template.h"

namespace imasnap {
namespace {

using std::string_view_literals::operator""sv;

struct Kind {
  std::string_view begins;
  const char* name;
};

constexpr Kind kKinds[] = {
    {"\x1f\x8b"sv, "a gzip file"},
    {"\xfd"
     "7zXZ"sv,
     "an xz file"},
    {"\x28\xb5\x2f\xfd"sv, "a zstd file"},
    {"BZh"sv, "a bzip2 file"},
    {"PK\x03\x04"sv, "a zip file"},
    {"\x7f"
     "ELF"sv,
     "an ELF file"},
    {"-----BEGIN"sv, "a PEM file"},
};

// The log of the firmware (TCG PC Client Platform Firmware Profile): its first event
// has this signature after a PCR, a type, a SHA-1 digest and a size.
constexpr std::string_view kFirmware = "Spec ID Event";
constexpr size_t kFirmwareAt = 4 + 4 + 20 + 4;

bool IsText(std::string_view head) {
  return std::ranges::all_of(
      head, [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\t' || c == '\r'; });
}

// "10 0f1e... ima-ng ..."
bool IsAsciiList(std::string_view head) {
  const size_t pcr = head.find_first_not_of(' ');
  const size_t digest = head.find(' ', pcr);
  if (pcr == std::string_view::npos || digest == std::string_view::npos || digest - pcr > 2) {
    return false;
  }
  const std::string_view rest = head.substr(digest + 1);
  const auto hex = FromHex(rest.substr(0, rest.find(' ')));
  return hex && hex->size() >= DigestSize(HashAlg::kSha1);
}

// Whether a template's name comes after a digest of `size` bytes.
bool HasNameAfter(ByteView head, size_t size) {
  if (head.size() < 4 + size + 4) {
    return false;
  }
  const ByteView at = head.subspan(4 + size);
  for (const ByteOrder order : {ByteOrder::kLittle, ByteOrder::kBig}) {
    const uint32_t length = LoadU32(at, order);
    if (length > 0 && length <= kMaxTemplateName && at.size() >= 4 + length) {
      return std::ranges::all_of(AsText(at.subspan(4, length)),
                                 [](char c) { return c > ' ' && c <= '~'; });
    }
  }
  return false;
}

}  // namespace

std::optional<std::string> LooksLike(ByteView bytes) {
  constexpr size_t kEnough = 512;
  const ByteView head = bytes.first(std::min(bytes.size(), kEnough));
  const std::string_view text = AsText(head);
  for (const Kind& kind : kKinds) {
    if (text.starts_with(kind.begins)) {
      return fmt::format("it looks like {}", kind.name);
    }
  }
  if (text.size() > kFirmwareAt && text.substr(kFirmwareAt).starts_with(kFirmware)) {
    return "it looks like the event log of the firmware";
  }
  for (const HashAlg alg : {HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512}) {
    if (HasNameAfter(head, DigestSize(alg))) {
      return fmt::format(
          "it looks like binary_runtime_measurements_{}; only the list with SHA-1 digests is read",
          HashName(alg));
    }
  }
  if (head.size() > kFirmwareAt &&
      std::ranges::all_of(head, [](std::byte b) { return b == std::byte{0}; })) {
    return "its first bytes are zeros";
  }
  constexpr size_t kFew = 4;  // fewer can be the first bytes of a list
  if (text.size() < kFew || !IsText(text)) {
    return std::nullopt;
  }
  if (IsAsciiList(text)) {
    return "it looks like ascii_runtime_measurements; the binary list is needed";
  }
  return text.starts_with('{') || text.starts_with('[') ? "it looks like JSON"
                                                        : "it looks like text";
}

}  // namespace imasnap
