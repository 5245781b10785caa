// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/view_format.h"

#include <algorithm>
#include <array>
#include <optional>

#include "log/log_reader.h"
#include "log/record_format.h"

namespace imasnap {
namespace {

constexpr uint64_t kSha1Size = 20;

Digest HeaderDigest(const Record& record, const ViewFormat& format) {
  if (format.alg == HashAlg::kSha1) {
    return Digest::From(record.digest);
  }
  Digest digest = Digest::Filled(DigestSize(format.alg), std::byte{0});
  if (format.padded_sha1) {
    std::ranges::copy(record.digest, digest.bytes.begin());
  } else if (!record.IsViolation()) {
    Hasher hasher(format.alg);
    digest = TemplateDigest(record, &hasher);
  }
  return digest;
}

// One record after the other in the format.
class Formatter {
 public:
  explicit Formatter(const ViewFormat& format) : format_(format) {}

  // The size does not depend on the digest's value.
  uint64_t Size(const Record& record) {
    const uint64_t longer = DigestSize(format_.alg) - kSha1Size;
    if (!format_.ascii) {
      return record.raw.size() + longer;
    }
    line_.clear();
    AppendAscii(record, record.digest, &line_);
    return line_.size() + 2 * longer;
  }

  // Of the record whose Size() was asked last; valid until the next call.
  ByteView Bytes(const Record& record) {
    if (format_.ascii && format_.alg == HashAlg::kSha1) {
      return AsBytes(line_);
    }
    const Digest digest = HeaderDigest(record, format_);
    if (format_.ascii) {
      line_.clear();
      AppendAscii(record, digest.view(), &line_);
      return AsBytes(line_);
    }
    binary_.clear();
    AppendBinary(record, digest.view(), &binary_);
    return binary_;
  }

 private:
  const ViewFormat format_;
  std::string line_;
  imasnap::Bytes binary_;
};

}  // namespace

uint64_t Extent::BytesIn(const ViewFormat& format) const {
  const uint64_t longer = DigestSize(format.alg) - kSha1Size;
  return format.ascii ? ascii + records * 2 * longer : raw + records * longer;
}

uint64_t AsciiMeter::Measure(const Record& record) {
  if (record.tmpl == nullptr) {
    return 0;
  }
  line_.clear();
  AppendAscii(record, record.digest, &line_);
  return line_.size();
}

Status Render(ByteView raw, const std::string& name, const ViewFormat& format, uint64_t begin,
              uint64_t offset, std::span<std::byte> out) {
  LogReader reader(raw, {}, name);
  Formatter formatter(format);
  uint64_t at = begin;
  while (!out.empty()) {
    IMASNAP_ASSIGN(const Record* const record, reader.Next());
    if (record == nullptr) {
      return FileError(ErrorCode::kMismatch, name, "has fewer records than were indexed");
    }
    const uint64_t size = formatter.Size(*record);
    if (at + size > offset) {
      const ByteView bytes = formatter.Bytes(*record);
      const ByteView wanted = bytes.subspan(offset - at);
      const size_t n = std::min(wanted.size(), out.size());
      std::copy_n(wanted.begin(), n, out.begin());
      out = out.subspan(n);
      offset += n;
    }
    at += size;
  }
  return {};
}

}  // namespace imasnap
