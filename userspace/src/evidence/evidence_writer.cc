// SPDX-License-Identifier: GPL-2.0-or-later
#include "evidence/evidence_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "evidence/manifest.h"
#include "store/store.h"

namespace imasnap {
namespace {

constexpr size_t kCopyChunk = size_t{64} * 1024;
constexpr uint32_t kMode = 0600;

// Each entry has mode 0600 and no owner or time.
class ArchiveWriter {
 public:
  explicit ArchiveWriter(const ByteSink& sink) : sink_(sink), archive_(archive_write_new()) {}
  ArchiveWriter(const ArchiveWriter&) = delete;
  ArchiveWriter& operator=(const ArchiveWriter&) = delete;
  ~ArchiveWriter() { archive_write_free(archive_); }

  Status Open() {
    IMASNAP_RETURN_IF_ERROR(Check(archive_write_set_format_pax_restricted(archive_)));
    return Check(archive_write_open2(archive_, this, nullptr, OnWrite, nullptr, nullptr));
  }

  Status AddText(const std::string& name, std::string_view text) {
    IMASNAP_RETURN_IF_ERROR(Begin(name, text.size()));
    return Add(AsBytes(text));
  }

  Status AddFile(const std::string& name, const LogPart& part) {
    IMASNAP_ASSIGN(const std::unique_ptr<File> file, part.open());
    IMASNAP_ASSIGN(const FileInfo info, file->Stat());
    IMASNAP_RETURN_IF_ERROR(Begin(name, info.size));
    Bytes buffer(kCopyChunk);
    for (uint64_t left = info.size; left > 0;) {
      const auto wanted = std::span(buffer).first(std::min<uint64_t>(left, buffer.size()));
      IMASNAP_ASSIGN(const size_t got, file->Read(wanted));
      if (got == 0) {
        return FileError(ErrorCode::kFailed, Cause::kEndsEarly, part.path, "ends early");
      }
      IMASNAP_RETURN_IF_ERROR(Add(wanted.first(got)));
      left -= got;
    }
    return {};
  }

  Status Close() { return Check(archive_write_close(archive_)); }

 private:
  static la_ssize_t OnWrite(struct archive* archive, void* self, const void* data, size_t size) {
    auto* const writer = static_cast<ArchiveWriter*>(self);
    writer->written_ = writer->sink_({static_cast<const std::byte*>(data), size});
    if (!writer->written_.ok()) {
      archive_set_error(archive, EIO, "not written");
      return -1;
    }
    return static_cast<la_ssize_t>(size);
  }

  Status Begin(const std::string& name, uint64_t size) {
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                              archive_entry_free);
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), kMode);
    return Check(archive_write_header(archive_, entry.get()));
  }

  Status Add(ByteView bytes) {
    const la_ssize_t added = archive_write_data(archive_, bytes.data(), bytes.size());
    return Check(added == static_cast<la_ssize_t>(bytes.size()) ? ARCHIVE_OK : ARCHIVE_FATAL);
  }

  Status Check(int result) const {
    if (result == ARCHIVE_OK) {
      return {};
    }
    if (!written_.ok()) {
      return written_.error();
    }
    const char* const why = archive_error_string(archive_);
    return MakeError(ErrorCode::kFailed,
                     fmt::format("the archive: {}", why != nullptr ? why : "no memory"));
  }

  const ByteSink& sink_;
  Status written_;
  struct archive* archive_;
};

}  // namespace

Result<std::vector<LogPart>> PartsAfter(std::vector<LogPart> log, uint64_t attempt) {
  size_t first = 0;
  if (attempt != 0) {
    const auto asked = std::ranges::find_if(
        log, [&](const LogPart& part) { return part.info && part.info->attempt == attempt; });
    if (asked == log.end()) {
      return MakeError(ErrorCode::kUsage, Cause::kSegmentUnknown,
                       fmt::format("the aggregate of attempt {} closed no segment", attempt));
    }
    first = static_cast<size_t>(asked - log.begin());
  }
  for (size_t i = 0; i < log.size(); ++i) {
    first = log[i].discarded ? std::max(first, i) : first;
  }
  log.erase(log.begin(), log.begin() + static_cast<ptrdiff_t>(first));
  const bool named = attempt != 0 || log.front().discarded;
  log.front().discarded = named;  // its bytes are left out
  return log;
}

Status WriteEvidence(const EvidenceParts& parts, const ByteSink& sink) {
  Manifest manifest;
  manifest.session = parts.session.has_value();
  manifest.before = parts.log.front().discarded;
  manifest.staged = parts.log.size() > 1 && parts.log[parts.log.size() - 2].segment == 0;
  for (const LogPart& part : parts.log) {
    if (part.segment == 0) {
      continue;
    }
    if (!part.info) {
      Error error = FileError(ErrorCode::kFailed, Cause::kMetadata, part.path,
                              "has no metadata; 'ima-snapshot take' repairs the store");
      error.segment = part.segment;
      return error;
    }
    if (!part.discarded) {
      manifest.segments.push_back(part.segment);
    }
  }
  if (manifest.segments.size() > kMaxEvidenceSegments) {
    return MakeError(ErrorCode::kFailed, Cause::kTooMany,
                     fmt::format("there are {} segments, and evidence has at most {}; the verifier "
                                 "can ask for fewer with --after-attempt",
                                 manifest.segments.size(), kMaxEvidenceSegments));
  }
  ArchiveWriter writer(sink);
  IMASNAP_RETURN_IF_ERROR(writer.Open());
  IMASNAP_RETURN_IF_ERROR(writer.AddText(kManifestEntry, FormatManifest(manifest)));
  if (parts.session) {
    IMASNAP_RETURN_IF_ERROR(writer.AddText(kSessionEntry, FormatSession(*parts.session)));
  }
  IMASNAP_RETURN_IF_ERROR(writer.AddText(kQuoteEntry, AsText(parts.quote)));
  IMASNAP_RETURN_IF_ERROR(writer.AddText(kSignatureEntry, AsText(parts.signature)));
  IMASNAP_RETURN_IF_ERROR(writer.AddText(kPcrsEntry, parts.pcrs));
  for (const LogPart& part : parts.log) {
    if (part.segment != 0) {
      const std::string name =
          part.discarded ? kBeforeEntry : fmt::format("{}.json", SegmentName(part.segment));
      IMASNAP_RETURN_IF_ERROR(writer.AddText(name, FormatSegment(*part.info)));
    }
  }
  for (const LogPart& part : parts.log) {
    if (part.discarded) {
      continue;
    }
    const std::string name = part.segment != 0 ? fmt::format("{}.ima", SegmentName(part.segment))
                             : &part == &parts.log.back() ? kLiveEntry
                                                          : kStagedEntry;
    IMASNAP_RETURN_IF_ERROR(writer.AddFile(name, part));
  }
  return writer.Close();
}

}  // namespace imasnap
