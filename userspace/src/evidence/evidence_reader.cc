// SPDX-License-Identifier: GPL-2.0-or-later
#include "evidence/evidence_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/read_only_file.h"
#include "evidence/manifest.h"
#include "store/store.h"

namespace imasnap {
namespace {

constexpr size_t kReadChunk = size_t{64} * 1024;
constexpr size_t kMaxQuote = size_t{64} * 1024;
constexpr size_t kMaxPcrs = size_t{1024} * 1024;
constexpr size_t kMaxManifest = size_t{1024} * 1024;

}  // namespace

// The entries of a tar archive, one after the other.
class EvidenceReader::Archive {
 public:
  Archive(std::unique_ptr<ByteSource> source, const std::string& name)
      : source_(std::move(source)),
        name_(name),
        buffer_(kReadChunk),
        archive_(archive_read_new()) {}
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;
  ~Archive() { archive_read_free(archive_); }

  Status Open() {
    archive_read_support_format_tar(archive_);  // without filters: they could expand
    return Check(archive_read_open(archive_, this, nullptr, OnRead, nullptr));
  }

  // Goes to the next entry, which must be the file `wanted`.
  Status Next(const std::string& wanted) {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(archive_, &entry);
    if (result == ARCHIVE_EOF) {
      return Error(fmt::format("ends before {}", wanted));
    }
    IMASNAP_RETURN_IF_ERROR(Check(result));
    const char* const found = archive_entry_pathname(entry);
    if (found == nullptr || found != wanted || archive_entry_filetype(entry) != AE_IFREG ||
        archive_entry_hardlink(entry) != nullptr) {
      return Error(fmt::format("has {} where the file {} must be",
                               found != nullptr ? Printable(found) : "an entry without a name",
                               wanted));
    }
    return {};
  }

  // Of the entry; 0 at its end.
  Result<size_t> Read(std::span<std::byte> out) {
    const la_ssize_t got = archive_read_data(archive_, out.data(), out.size());
    if (got < 0) {
      IMASNAP_RETURN_IF_ERROR(Check(static_cast<int>(got)));
    }
    return static_cast<size_t>(got);
  }

  imasnap::Error Error(const std::string& what) const {
    return FileError(ErrorCode::kCannotCheck, Cause::kNotEvidence, name_, what);
  }

 private:
  static la_ssize_t OnRead(struct archive* archive, void* self, const void** data) {
    auto* const reader = static_cast<Archive*>(self);
    auto got = reader->source_->Read(reader->buffer_);
    if (!got.ok()) {
      reader->problem_ = std::move(got.error());
      archive_set_error(archive, EIO, "not read");
      return -1;
    }
    *data = reader->buffer_.data();
    return static_cast<la_ssize_t>(*got);
  }

  Status Check(int result) const {
    if (result == ARCHIVE_OK) {
      return {};
    }
    if (problem_) {
      return *problem_;
    }
    const char* const why = archive_error_string(archive_);
    return Error(fmt::format("is no archive of evidence: {}", why != nullptr ? why : "no memory"));
  }

  const std::unique_ptr<ByteSource> source_;
  const std::string& name_;
  Bytes buffer_;
  std::optional<imasnap::Error> problem_;  // of the source
  struct archive* archive_;
};

// A part of the log, with its own place.
class EvidenceReader::EntryFile : public ReadOnlyFile {
 public:
  EntryFile(EvidenceReader* reader, size_t index)
      : ReadOnlyFile(reader->parts_[index].path), reader_(reader), index_(index) {}
  Result<size_t> ReadSome(std::span<std::byte> out) override {
    IMASNAP_ASSIGN(const size_t got, reader_->ReadAt(index_, at_, out));
    at_ += got;
    return got;
  }
  Result<size_t> ReadSomeAt(uint64_t offset, std::span<std::byte> out) override {
    return reader_->ReadAt(index_, offset, out);
  }
  Result<uint64_t> Seek(uint64_t offset) override { return at_ = offset; }
  Result<FileInfo> Stat() override { return SystemError(path(), "fstat", ESPIPE); }

 private:
  EvidenceReader* reader_;
  const size_t index_;
  uint64_t at_ = 0;
};

EvidenceReader::EvidenceReader(OpenFile open, std::string name)
    : open_(std::move(open)), name_(std::move(name)) {}
EvidenceReader::~EvidenceReader() = default;

Result<std::unique_ptr<EvidenceReader>> EvidenceReader::Open(OpenFile open, std::string name) {
  std::unique_ptr<EvidenceReader> reader(new EvidenceReader(std::move(open), std::move(name)));
  IMASNAP_RETURN_IF_ERROR(reader->ReadHead());
  return reader;
}

Result<std::string> EvidenceReader::ReadText(const std::string& name, size_t limit) {
  IMASNAP_RETURN_IF_ERROR(archive_->Next(name));
  std::string text;
  Bytes buffer(kReadChunk);
  while (true) {
    IMASNAP_ASSIGN(const size_t got, archive_->Read(buffer));
    if (got == 0) {
      return text;
    }
    if (text.size() + got > limit) {
      return archive_->Error(fmt::format("{} has more than {} bytes", name, limit));
    }
    text.append(AsText(ByteView(buffer).first(got)));
  }
}

namespace {

NamedBytes Named(const std::string& archive, const std::string& entry, const std::string& text) {
  const ByteView bytes = AsBytes(text);
  return {fmt::format("{}: {}", archive, entry), {bytes.begin(), bytes.end()}};
}

}  // namespace

Status EvidenceReader::ReadHead() {
  IMASNAP_ASSIGN(std::unique_ptr<ByteSource> source, open_());
  archive_ = std::make_unique<Archive>(std::move(source), name_);
  part_.reset();
  IMASNAP_RETURN_IF_ERROR(archive_->Open());
  IMASNAP_ASSIGN(const std::string manifest_text, ReadText(kManifestEntry, kMaxManifest));
  auto manifest = ParseManifest(manifest_text, name_);
  if (!manifest.ok()) {
    return archive_->Error(fmt::format("{}: {}", kManifestEntry, manifest.error().message));
  }
  if (manifest->session) {
    IMASNAP_ASSIGN(const std::string text, ReadText(kSessionEntry, kMaxMetadata));
    auto session = ParseSession(text, name_);
    if (!session.ok()) {
      return archive_->Error(fmt::format("{}: {}", kSessionEntry, session.error().message));
    }
    identity_ = IdentityOf(*session);
  }
  IMASNAP_ASSIGN(const std::string quote, ReadText(kQuoteEntry, kMaxQuote));
  quote_ = Named(name_, kQuoteEntry, quote);
  IMASNAP_ASSIGN(const std::string signature, ReadText(kSignatureEntry, kMaxQuote));
  signature_ = Named(name_, kSignatureEntry, signature);
  IMASNAP_ASSIGN(pcrs_, ReadText(kPcrsEntry, kMaxPcrs));
  if (manifest->before) {
    IMASNAP_RETURN_IF_ERROR(AddSegment(kBeforeEntry, /*discarded=*/true));
  }
  for (const uint64_t number : manifest->segments) {
    IMASNAP_RETURN_IF_ERROR(
        AddSegment(fmt::format("{}.json", SegmentName(number)), /*discarded=*/false));
    if (parts_.back().segment != number) {
      return archive_->Error(fmt::format("{}.json is of another segment", SegmentName(number)));
    }
  }
  if (manifest->staged) {
    AddPart({}, kStagedEntry);
  }
  AddPart({}, kLiveEntry);
  return {};
}

Status EvidenceReader::AddSegment(const std::string& entry, bool discarded) {
  IMASNAP_ASSIGN(const std::string text, ReadText(entry, kMaxMetadata));
  auto info = ParseSegment(text, name_);
  if (!info.ok()) {
    return archive_->Error(fmt::format("{}: {}", entry, info.error().message));
  }
  for (Aggregate::BankValues& bank : info->banks) {
    bank.pcrs.clear();  // only the names are used
  }
  LogPart part;
  part.segment = info->number;
  part.discarded = discarded;
  if (discarded) {
    at_machine_discarded_ = info->state == SegmentState::kDiscarded;
  }
  if (!parts_.empty() && info->number != parts_.back().segment + 1 && !info->supersedes) {
    part.missing_before = parts_.back().segment + 1;
  }
  part.info = std::move(*info);
  std::string bytes = fmt::format("{}.ima", SegmentName(part.segment));
  AddPart(std::move(part), std::move(bytes));
  return {};
}

void EvidenceReader::AddPart(LogPart part, std::string entry) {
  part.path = fmt::format("{}: {}", name_, entry);
  part.open = [this, index = parts_.size()]() -> Result<std::unique_ptr<File>> {
    return std::unique_ptr<File>(std::make_unique<EntryFile>(this, index));
  };
  parts_.push_back(std::move(part));
  entries_.push_back(std::move(entry));
}

Status EvidenceReader::EnterPart(size_t index, bool again) {
  if (part_ && (*part_ > index || (*part_ == index && again))) {
    const std::vector<std::string> log = std::exchange(entries_, {});
    std::vector<LogPart> parts = std::exchange(parts_, {});
    IMASNAP_RETURN_IF_ERROR(ReadHead());
    if (entries_ != log) {
      return archive_->Error("changes while it is read");
    }
    parts_ = std::move(parts);
  }
  while (!part_ || *part_ < index) {
    const size_t first = parts_.front().discarded ? 1 : 0;
    const size_t next = part_ ? *part_ + 1 : first;
    IMASNAP_RETURN_IF_ERROR(archive_->Next(entries_[next]));
    part_ = next;
    beginning_.clear();
    read_ = 0;
  }
  return {};
}

Result<size_t> EvidenceReader::ReadAt(size_t index, uint64_t offset, std::span<std::byte> out) {
  IMASNAP_RETURN_IF_ERROR(EnterPart(index, offset < read_ && offset >= beginning_.size()));
  if (offset < beginning_.size()) {
    const ByteView have = ByteView(beginning_).subspan(offset);
    const size_t n = std::min(have.size(), out.size());
    std::copy_n(have.begin(), n, out.begin());
    return n;
  }
  Bytes skipped;
  while (true) {
    const bool reached = read_ == offset;
    skipped.resize(reached ? 0 : std::min<uint64_t>(kReadChunk, offset - read_));
    const std::span<std::byte> into = reached ? out : std::span(skipped);
    IMASNAP_ASSIGN(const size_t got, archive_->Read(into));
    if (beginning_.size() == read_ && read_ < kReadChunk) {
      AppendBytes(ByteView(into).first(got), &beginning_);
    }
    read_ += got;
    if (reached || got == 0) {
      return reached ? got : 0;
    }
  }
}

Status EvidenceReader::CheckReaches(const Checkpoint* from) const {
  const LogPart& front = parts_.front();
  if (!front.discarded || front.info->last_record <= (from != nullptr ? from->records : 0)) {
    return {};
  }
  Error error = FileError(
      ErrorCode::kCannotCheck, Cause::kEvidenceTooLate, name_,
      fmt::format("begins after segment {}, record {}, but records from {} on were not verified "
                  "yet{}",
                  SegmentName(front.segment), front.info->last_record,
                  (from != nullptr ? from->records : 0) + 1,
                  at_machine_discarded_
                      ? "; the machine has discarded them, so only a verifier with the state that "
                        "covers them can continue"
                      : ""));
  error.needs_after_attempt = from != nullptr ? from->attempt : 0;
  return error;
}

}  // namespace imasnap
