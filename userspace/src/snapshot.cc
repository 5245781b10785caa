// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot.h"

#include <fmt/format.h>

#include "log_reader.h"
#include "recovery.h"

namespace imasnap {
namespace {

// Writes to a file and hashes whatever is read through it.
class CopyingSource : public ByteSource {
 public:
  CopyingSource(ByteSource& from, File& to, Hasher hasher)
      : from_(from), to_(to), hasher_(std::move(hasher)) {}

  Result<size_t> Read(std::span<std::byte> out) override {
    IMASNAP_ASSIGN(const size_t got, from_.Read(out));
    const ByteView bytes = ByteView(out).first(got);
    IMASNAP_RETURN_IF_ERROR(to_.WriteAll(bytes));
    hasher_.Update(bytes);
    return got;
  }
  Result<Digest> Finish() { return hasher_.Finish(); }

 private:
  ByteSource& from_;
  File& to_;
  Hasher hasher_;
};

class Taker {
 public:
  Taker(const Environment& env, std::vector<std::string>* notes)
      : env_(env), kernel_(env.kernel()), store_(env.store()), notes_(notes) {}

  Result<TakeResult> Mark();
  Result<TakeResult> Take();

 private:
  Status CheckStore();
  Status CheckSpace(uint64_t needed);
  Status Copy(File* kernel_file, const std::string& temporary);
  Result<Aggregate> FindAggregate();
  Error Reject(const std::string& temporary, const std::string& why);
  Status Purge(File* kernel_file);
  void Note(std::string text) { notes_->push_back(std::move(text)); }
  void Discard(const std::string& temporary);

  const Environment& env_;
  const KernelLog kernel_;
  const Store store_;
  std::vector<std::string>* notes_;
  std::unique_ptr<File> lock_;
  Recovered at_;
  SegmentInfo segment_;
};

Result<TakeResult> Taker::Mark() {
  IMASNAP_ASSIGN(lock_, AcquireLock(env_, LockMode::kExclusive));
  IMASNAP_ASSIGN(const std::unique_ptr<File> file,
                 env_.fs.OpenFile(kernel_.snapshot_path(), OpenMode::kRead));
  IMASNAP_RETURN_IF_ERROR(file->Close());
  TakeResult result;
  IMASNAP_ASSIGN(const std::optional<uint64_t> attempts, kernel_.Counter("snapshot_attempts"));
  result.attempt = attempts.value_or(0);
  return result;
}

Status Taker::CheckStore() {
  const std::string& root = store_.root();
  IMASNAP_ASSIGN(const FileInfo info, env_.fs.Stat(root));
  if (info.type != FileType::kDirectory) {
    return FileError(ErrorCode::kFailed, root, "the store is not a directory");
  }
  if (info.owner != env_.owner || (info.mode & 022) != 0) {
    return FileError(ErrorCode::kFailed, root,
                     fmt::format("the store is owned by user {} with mode {:04o}; only root may "
                                 "own and write it",
                                 info.owner, info.mode));
  }
  IMASNAP_ASSIGN(const FileSystemInfo fs, env_.fs.StatFileSystem(root));
  if ((fs.magic == kTmpfsMagic || fs.magic == kRamfsMagic) && !env_.config.allow_volatile) {
    return FileError(ErrorCode::kFailed, root,
                     "the store is on a file system in memory, which a reboot loses and which "
                     "gives no memory back; set allow_volatile = true to use it nevertheless");
  }
  return {};
}

Status Taker::CheckSpace(uint64_t needed) {
  IMASNAP_ASSIGN(const FileSystemInfo fs, env_.fs.StatFileSystem(store_.root()));
  if (fs.available < needed || fs.available - needed < env_.config.min_free_space) {
    return FileError(ErrorCode::kFailed, store_.root(),
                     fmt::format("{} bytes are free; the segment needs {} and min_free_space "
                                 "keeps {}; make room or lower it",
                                 fs.available, needed, env_.config.min_free_space));
  }
  return {};
}

Status Taker::Copy(File* kernel_file, const std::string& temporary) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> out, env_.fs.OpenFile(temporary, OpenMode::kCreate));
  IMASNAP_ASSIGN(Hasher hasher, Hasher::Create(HashAlg::kSha256));
  CopyingSource source(*kernel_file, *out, std::move(hasher));
  LogReader reader(source, {}, kernel_file->path(), LogReader::Check::kFraming);
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      break;
    }
  }
  segment_.records = reader.records();
  segment_.bytes = reader.bytes();
  IMASNAP_ASSIGN(segment_.sha256, source.Finish());
  IMASNAP_RETURN_IF_ERROR(out->SyncAll());
  return out->Close();
}

// The record after the segment's bytes in the kernel's list.
Result<Aggregate> Taker::FindAggregate() {
  IMASNAP_ASSIGN(const std::unique_ptr<File> live, kernel_.OpenLive());
  LogReader reader(*live, {}, kernel_.live_path(), LogReader::Check::kFraming);
  IMASNAP_ASSIGN(Hasher hasher, Hasher::Create(HashAlg::kSha256));
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      return FileError(ErrorCode::kMismatch, kernel_.live_path(),
                       "ends before the aggregate of this snapshot");
    }
    if (record->offset < segment_.bytes) {
      hasher.Update(record->raw);
      continue;
    }
    IMASNAP_ASSIGN(const Digest head, hasher.Finish());
    if (record->offset != segment_.bytes || !(head == segment_.sha256)) {
      return FileError(ErrorCode::kMismatch, kernel_.live_path(),
                       "does not begin with the bytes of the snapshot file");
    }
    if (!IsAggregate(*record)) {
      Error error =
          FileError(ErrorCode::kMismatch, kernel_.live_path(),
                    fmt::format("is {} where {} should be", record->event_name(), kAggregateEvent));
      error.record = record->number;
      error.offset = record->offset;
      return error;
    }
    auto aggregate = AggregateFromRecord(*record);
    if (!aggregate.ok()) {
      aggregate.error().file = kernel_.live_path();
      aggregate.error().code = ErrorCode::kMismatch;
      return aggregate;
    }
    if (!(aggregate->segment_hash == segment_.sha256)) {
      Error error = FileError(
          ErrorCode::kMismatch, kernel_.live_path(),
          fmt::format("Segment_Hash of attempt {} is {}, the bytes read have {}",
                      aggregate->attempt, aggregate->segment_hash.Hex(), segment_.sha256.Hex()));
      error.record = record->number;
      error.offset = record->offset;
      return error;
    }
    if (aggregate->record_count < segment_.records) {
      return FileError(ErrorCode::kMismatch, kernel_.live_path(),
                       fmt::format("Record_Count of attempt {} is {}, the segment alone has {}",
                                   aggregate->attempt, aggregate->record_count, segment_.records));
    }
    return aggregate;
  }
}

// Keeps the bytes under a name of their own.
Error Taker::Reject(const std::string& temporary, const std::string& why) {
  std::string kept;
  for (int i = 1;; ++i) {
    kept = fmt::format("{}/{}.rejected.{}", at_.session.directory, SegmentName(segment_.number), i);
    const auto taken = env_.fs.Exists(kept);
    if (!taken.ok() || !*taken) {
      break;
    }
  }
  Status status = env_.fs.Rename(temporary, kept);
  if (status.ok()) {
    status = env_.fs.SyncDirectory(at_.session.directory);
  }
  return FileError(ErrorCode::kMismatch, status.ok() ? kept : temporary,
                   fmt::format("the snapshot does not match, nothing was purged: {}", why));
}

void Taker::Discard(const std::string& temporary) {
  const auto exists = env_.fs.Exists(temporary);
  if (exists.ok() && *exists) {
    // If this fails too, the next snapshot's recovery removes it.
    static_cast<void>(env_.fs.Unlink(temporary));
  }
}

Status Taker::Purge(File* kernel_file) {
  const Status wrote = kernel_file->WriteAll(AsBytes("1"));
  if (wrote.ok()) {
    return {};
  }
  // Interrupted, or failed after the records had gone: the list knows.
  const auto purged = [&]() -> Result<bool> {
    IMASNAP_ASSIGN(const std::unique_ptr<File> live, kernel_.OpenLive());
    IMASNAP_ASSIGN(const LiveHead head,
                   CompareWithLive(*live, kernel_.live_path(), KeyOf(segment_)));
    return head.start == LiveStart::kAfterSegment;
  };
  const auto gone = purged();
  if (gone.ok() && *gone) {
    Note(fmt::format("the kernel purged, though writing answered: {}", wrote.error().ToString()));
    return {};
  }
  Error error = wrote.error();
  error.message += fmt::format("; segment {} is stored, its records stay in the kernel",
                               SegmentName(segment_.number));
  return error;
}

Result<TakeResult> Taker::Take() {
  IMASNAP_ASSIGN(lock_, AcquireLock(env_, LockMode::kExclusive));
  IMASNAP_RETURN_IF_ERROR(store_.Create());
  IMASNAP_RETURN_IF_ERROR(CheckStore());
  IMASNAP_ASSIGN(at_, Recover(env_, notes_));
  IMASNAP_ASSIGN(const std::optional<uint64_t> size, kernel_.Counter("runtime_measurements_size"));
  IMASNAP_RETURN_IF_ERROR(CheckSpace(size.value_or(0)));

  segment_.number = at_.session.NextNumber();
  segment_.supersedes = at_.to_supersede;
  segment_.taken = env_.now();
  segment_.kernel = env_.kernel_release;
  const std::string path =
      fmt::format("{}/{}.ima", at_.session.directory, SegmentName(segment_.number));
  const std::string temporary = path + ".tmp";

  IMASNAP_ASSIGN(const std::unique_ptr<File> kernel_file,
                 env_.fs.OpenFile(kernel_.snapshot_path(), OpenMode::kReadWrite));
  Status status = Copy(kernel_file.get(), temporary);
  if (status.ok()) {
    status = CheckSpace(0);
  }
  if (!status.ok()) {
    Discard(temporary);
    return std::move(status.error());
  }
  auto aggregate = FindAggregate();
  if (!aggregate.ok()) {
    if (aggregate.error().code == ErrorCode::kMismatch) {
      return Reject(temporary, aggregate.error().ToString());
    }
    Discard(temporary);
    return std::move(aggregate.error());
  }
  segment_.attempt = aggregate->attempt;
  segment_.banks = aggregate->banks;
  segment_.last_record = aggregate->record_count;
  segment_.first_record = aggregate->record_count - segment_.records + 1;

  status = env_.fs.Rename(temporary, path);
  if (!status.ok()) {
    Discard(temporary);
    return std::move(status.error());
  }
  IMASNAP_RETURN_IF_ERROR(env_.fs.SyncDirectory(at_.session.directory));
  IMASNAP_RETURN_IF_ERROR(store_.WriteSegmentInfo(at_.session, segment_));
  IMASNAP_RETURN_IF_ERROR(Purge(kernel_file.get()));

  // From here on the snapshot is complete; what fails is repaired by the next.
  segment_.state = SegmentState::kPurged;
  if (const Status closed = kernel_file->Close(); !closed.ok()) {
    Note(closed.error().ToString());
  }
  if (const Status wrote = store_.WriteSegmentInfo(at_.session, segment_); !wrote.ok()) {
    Note(fmt::format("the purge was not noted: {}", wrote.error().ToString()));
  }
  if (at_.to_supersede) {
    const Status removed = store_.RemoveSegment(at_.session, at_.session.segments.back());
    if (!removed.ok()) {
      Note(fmt::format("segment {} was not removed: {}", SegmentName(*at_.to_supersede),
                       removed.error().ToString()));
    }
  }
  TakeResult result;
  result.session = at_.session.id;
  result.attempt = segment_.attempt;
  result.segment = segment_;
  return result;
}

}  // namespace

Result<TakeResult> TakeSnapshot(const Environment& env, bool mark,
                                std::vector<std::string>* notes) {
  IMASNAP_ASSIGN(const BackendChoice choice, env.kernel().ChooseBackend());
  if (choice.backend != Backend::kSnapshot) {
    return MakeError(ErrorCode::kFailed, "no snapshot can be taken: " + choice.why);
  }
  Taker taker(env, notes);
  return mark ? taker.Mark() : taker.Take();
}

}  // namespace imasnap
