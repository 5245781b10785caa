// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/log_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "log/not_a_list.h"

namespace imasnap {
namespace {

constexpr size_t kFirstReadSize = size_t{8} * 1024;
constexpr size_t kReadSize = size_t{32} * 1024;

bool MayBeName(uint32_t length) { return length > 0 && length <= kMaxTemplateName; }

}  // namespace

bool Record::IsViolation() const {
  return std::ranges::all_of(digest, [](std::byte b) { return b == std::byte{0}; });
}

std::string_view Record::event_name() const {
  return tmpl == nullptr ? std::string_view() : EventName(*tmpl, fields);
}

LogReader::LogReader(ByteSource& source, LogFormat format, std::string file, Check check)
    : source_(&source), format_(format), file_(std::move(file)), check_(check) {}

LogReader::LogReader(ByteView records, LogFormat format, std::string file, Check check)
    : source_(nullptr),
      format_(format),
      file_(std::move(file)),
      check_(check),
      held_(records),
      end_(records.size()) {}

void LogReader::Reset(ByteSource& source, std::string file) {
  source_ = &source;
  file_ = std::move(file);
  record_ = {};
  begin_ = end_ = 0;
  next_offset_ = 0;
}

Error LogReader::Malformed(size_t at, Cause cause, std::string message) const {
  Error error = FileError(ErrorCode::kMalformed, cause, file_, std::move(message));
  error.record = record_.number + 1;
  error.offset = next_offset_ + at;
  return error;
}

Error LogReader::NoHeader(size_t at, Cause cause, std::string message) const {
  Error error = Malformed(at, cause, std::move(message));
  if (next_offset_ > 0) {
    return error;
  }
  const ByteView head = held_.subspan(begin_, end_ - begin_);
  const size_t name_at = 4 + DigestSize(format_.header_alg);
  const bool neither = head.size() >= name_at + 4 && LoadU32(head, order_) >= kMaxPcr &&
                       !MayBeName(LoadU32(head.subspan(name_at), order_));
  const std::optional<std::string> kind = LooksLike(head);
  if (kind || neither) {
    error.cause = Cause::kNotAList;
    error.message = fmt::format("is not a measurement list: {}", kind.value_or(error.message));
  }
  return error;
}

Result<bool> LogReader::Fill(size_t n) {
  while (end_ - begin_ < n) {
    if (source_ == nullptr) {
      return false;
    }
    const bool filled = end_ == buffer_.size();  // then the source has more
    if (begin_ > 0 && buffer_.size() - begin_ < std::max(n, kReadSize)) {
      std::copy(buffer_.begin() + static_cast<ptrdiff_t>(begin_),
                buffer_.begin() + static_cast<ptrdiff_t>(end_), buffer_.begin());
      end_ -= begin_;
      begin_ = 0;
    }
    // Grows with the bytes that are read, not with a length that a record claims.
    if (filled && buffer_.size() < kReadSize) {
      buffer_.resize(buffer_.empty() ? kFirstReadSize : kReadSize);
    } else if (end_ == buffer_.size()) {
      buffer_.resize(2 * buffer_.size());
    }
    held_ = buffer_;
    auto got = source_->Read(std::span(buffer_).subspan(end_));
    if (!got.ok()) {
      Error error = std::move(got.error());
      if (error.file.empty()) {
        error.file = file_;
      }
      error.record = record_.number + 1;
      error.offset = next_offset_;
      return error;
    }
    if (*got == 0) {
      return false;
    }
    end_ += *got;
  }
  return true;
}

Status LogReader::ReadBytes(size_t end, const char* what) {
  IMASNAP_ASSIGN(const bool enough, Fill(end));
  if (!enough) {
    const size_t have = end_ - begin_;
    return NoHeader(have, Cause::kTruncated,
                    fmt::format("truncated in {}: {} bytes are missing", what, end - have));
  }
  return {};
}

// A kernel writes the integers in its own order, or in little-endian order.
Status LogReader::FindOrder() {
  const size_t name_at = 4 + DigestSize(format_.header_alg);
  IMASNAP_RETURN_IF_ERROR(NeedBytes(0, name_at + 4, "the first record"));
  const auto fits = [&](ByteOrder order) {
    return LoadU32(held_.subspan(begin_), order) < kMaxPcr &&
           MayBeName(LoadU32(held_.subspan(begin_ + name_at), order));
  };
  order_ =
      !fits(ByteOrder::kLittle) && fits(ByteOrder::kBig) ? ByteOrder::kBig : ByteOrder::kLittle;
  return {};
}

Result<const Record*> LogReader::Next() {
  if (begin_ == end_) {
    IMASNAP_ASSIGN(const bool any, Fill(1));
    if (!any) {
      return nullptr;
    }
  }
  if (format_.order) {
    order_ = *format_.order;
  } else if (next_offset_ == 0) {
    IMASNAP_RETURN_IF_ERROR(FindOrder());
  }
  const ByteOrder order = order_;
  const size_t digest_size = DigestSize(format_.header_alg);
  const auto at = [this](size_t offset) {
    return held_.subspan(begin_ + offset, end_ - begin_ - offset);
  };

  IMASNAP_RETURN_IF_ERROR(NeedBytes(0, 4, "the PCR number"));
  const uint32_t pcr = LoadU32(at(0), order);
  if (pcr >= kMaxPcr) {
    return NoHeader(0, Cause::kOutOfRange, fmt::format("PCR {} does not exist", pcr));
  }
  IMASNAP_RETURN_IF_ERROR(NeedBytes(4, digest_size, "the template digest"));
  size_t pos = 4 + digest_size;
  IMASNAP_RETURN_IF_ERROR(NeedBytes(pos, 4, "the template name's length"));
  const uint32_t name_length = LoadU32(at(pos), order);
  if (!MayBeName(name_length)) {
    return NoHeader(pos, Cause::kWrongLength,
                    fmt::format("template name of {} bytes (1 to {} are "
                                "possible; is the header digest {}?)",
                                name_length, kMaxTemplateName, HashName(format_.header_alg)));
  }
  pos += 4;
  IMASNAP_RETURN_IF_ERROR(NeedBytes(pos, name_length, "the template name"));
  const size_t name_at = pos;
  const std::string_view name = AsText(at(pos).first(name_length));
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] <= ' ' || name[i] > '~') {
      return NoHeader(pos + i, Cause::kNotPrintable, "template name is not printable");
    }
  }
  const Template* tmpl = templates_.Find(name);
  const bool is_ima = name == "ima";
  pos += name_length;

  size_t data_at = pos;
  size_t data_length = 0;
  if (is_ima) {
    IMASNAP_RETURN_IF_ERROR(NeedBytes(pos, kImaDigestSize + 4, "the file digest"));
    const uint32_t length = LoadU32(at(pos + kImaDigestSize), order);
    if (length > kImaEventNameMax) {
      return Malformed(pos + kImaDigestSize, Cause::kWrongLength,
                       fmt::format("file name of {} bytes (at most {})", length, kImaEventNameMax));
    }
    data_length = kImaDigestSize + 4 + length;
  } else {
    IMASNAP_RETURN_IF_ERROR(NeedBytes(pos, 4, "the template data's length"));
    const uint32_t length = LoadU32(at(pos), order);
    if (length > kMaxTemplateData) {
      return Malformed(
          pos, Cause::kWrongLength,
          fmt::format("template data of {} bytes (at most {})", length, kMaxTemplateData));
    }
    data_at += 4;
    data_length = length;
  }
  IMASNAP_RETURN_IF_ERROR(NeedBytes(data_at, data_length, "the template data"));

  Record next;
  next.fields = std::move(record_.fields);  // reuses its memory
  next.number = record_.number;
  next.offset = next_offset_;
  next.pcr = pcr;
  next.digest = at(4).first(digest_size);
  next.tmpl = tmpl;
  next.template_name = AsText(at(name_at).first(name_length));
  next.template_data = at(data_at).first(data_length);
  next.raw = at(0).first(data_at + data_length);
  next.order = order;
  auto parsed = tmpl != nullptr ? ParseFields(*tmpl, next.template_data, order, next.IsViolation(),
                                              &next.fields)
                                : SplitFields(next.template_data, order, &next.fields);
  if (!parsed.ok() && check_ == Check::kStrict && tmpl != nullptr) {
    return Malformed(data_at + parsed.error().offset.value_or(0), parsed.error().cause,
                     parsed.error().message);
  }
  if (!parsed.ok()) {
    next.fields.clear();
  }
  ++next.number;
  record_ = std::move(next);
  begin_ += record_.raw.size();
  next_offset_ += record_.raw.size();
  return &record_;
}

}  // namespace imasnap
