// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot/snapshot.h"

#include <fmt/format.h>

#include <cerrno>

#include "log/log_reader.h"
#include "snapshot/recovery.h"
#include "snapshot/snapshot_source.h"
#include "snapshot/staging.h"
#include "store/continuity.h"
#include "store/segment_writer.h"
#include "store/session.h"

namespace imasnap {
namespace {

// Writes whatever is read through it.
class CopyingSource : public ByteSource {
 public:
  CopyingSource(ByteSource& from, SegmentWriter& to) : from_(from), to_(to) {}

  Result<size_t> Read(std::span<std::byte> out) override {
    IMASNAP_ASSIGN(const size_t got, from_.Read(out));
    IMASNAP_RETURN_IF_ERROR(to_.Append(ByteView(out).first(got)));
    return got;
  }

 private:
  ByteSource& from_;
  SegmentWriter& to_;
};

bool EndsByStaging(const std::vector<Segment>& segments) {
  return !segments.empty() && segments.back().info && segments.back().info->attempt == kNoAttempt;
}

// How many records may pass before the caller is asked whether to go on.
constexpr uint64_t kProgressStep = 256;

class Taker {
 public:
  Taker(const Environment& env, Backend backend, std::vector<std::string>* notes)
      : env_(env), backend_(backend), kernel_(env.kernel()), store_(env.store()), notes_(notes) {}

  Result<TakeResult> Mark();
  Result<TakeResult> Take();
  Status Repair();
  const Session& session() const { return at_.session; }

 private:
  Status CheckOwner() const;
  Status CheckStore();
  Status CheckSpace(uint64_t needed);
  Status CheckCounts(const std::vector<Segment>& segments);
  Status CheckSuperseded(const std::string& temporary);
  Status SaveStaged();
  Result<bool> TakeFrom(Source* source);
  Status Copy(Source* source, File* out);
  Status AskToGoOn(uint64_t records) const;
  Status Describe(Source* source, File* out, const std::string& temporary);
  Error Reject(const std::string& temporary, const std::string& why);
  void Finish(Source* source, const std::string& path);
  void Note(std::string text) { notes_->push_back(std::move(text)); }
  void Discard(const std::string& temporary);

  const Environment& env_;
  const Backend backend_;
  const KernelLog kernel_;
  const Store store_;
  std::vector<std::string>* notes_;
  std::unique_ptr<File> lock_;
  Recovered at_;
  SegmentInfo segment_;
};

Result<TakeResult> Taker::Mark() {
  IMASNAP_ASSIGN(lock_, AcquireLock(env_, LockMode::kExclusive));
  IMASNAP_ASSIGN(const std::optional<Session> newest, store_.LoadNewest());
  if (newest && EndsByStaging(newest->segments)) {
    IMASNAP_ASSIGN(const LogView view, OpenLogViewLocked(env_));
    IMASNAP_RETURN_IF_ERROR(CheckCounts(view.segments));
  }
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, OpenSnapshotFile(kernel_));
  IMASNAP_RETURN_IF_ERROR(file->Close());
  TakeResult result;
  IMASNAP_ASSIGN(const std::optional<uint64_t> attempts, kernel_.Counter("snapshot_attempts"));
  result.attempt = attempts.value_or(0);
  return result;
}

Status Taker::CheckOwner() const {
  const std::string& root = store_.root();
  IMASNAP_ASSIGN(const FileInfo info, env_.fs.Stat(root));
  if (info.type != FileType::kDirectory) {
    return FileError(ErrorCode::kRefused, root,
                     info.type == FileType::kSymlink
                         ? "the store is a symbolic link; name the directory itself"
                         : "the store is not a directory");
  }
  if (info.owner != env_.owner || (info.mode & 022) != 0) {
    return FileError(ErrorCode::kRefused, root,
                     fmt::format("the store is owned by user {} with mode {:04o}; only root may "
                                 "own and write it",
                                 info.owner, info.mode));
  }
  return {};
}

// Before anything is made in it, or it is made itself.
Status Taker::CheckStore() {
  std::string place = store_.root();
  IMASNAP_ASSIGN(bool exists, env_.fs.Exists(place));
  if (exists) {
    IMASNAP_RETURN_IF_ERROR(CheckOwner());
  }
  while (!exists) {
    place = ParentDirectory(place);
    IMASNAP_ASSIGN(exists, env_.fs.Exists(place));
  }
  IMASNAP_ASSIGN(const FileSystemInfo fs, env_.fs.StatFileSystem(place));
  if ((fs.magic == kTmpfsMagic || fs.magic == kRamfsMagic) && !env_.config.allow_volatile) {
    return FileError(ErrorCode::kRefused, store_.root(),
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

Status Taker::AskToGoOn(uint64_t records) const {
  if (!env_.on_progress || env_.on_progress(records)) {
    return {};
  }
  return FileError(ErrorCode::kFailed, store_.root(),
                   "interrupted: the snapshot was given up, nothing was purged");
}

Status Taker::Copy(Source* source, File* out) {
  SegmentWriter writer(*out);
  CopyingSource copying(source->records(), writer);
  LogReader reader(copying, {}, source->records().path(), LogReader::Check::kFraming);
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      break;
    }
    if (reader.records() % kProgressStep == 0) {
      IMASNAP_RETURN_IF_ERROR(AskToGoOn(reader.records()));
    }
  }
  segment_.records = reader.records();
  segment_.bytes = reader.bytes();
  IMASNAP_ASSIGN(segment_.sha256, writer.Finish());
  IMASNAP_RETURN_IF_ERROR(out->SyncAll());
  IMASNAP_RETURN_IF_ERROR(out->Close());
  IMASNAP_RETURN_IF_ERROR(AskToGoOn(segment_.records));
  return CheckSpace(0);
}

// Whatever fails, the copy goes: to the rejected ones if it is not what the
// kernel says it should be.
Status Taker::Describe(Source* source, File* out, const std::string& temporary) {
  Status status = Copy(source, out);
  if (status.ok()) {
    status = source->Complete(&segment_);
  }
  if (status.ok()) {
    status = CheckSuperseded(temporary);
  }
  if (status.ok()) {
    return status;
  }
  if (status.error().code == ErrorCode::kMismatch) {
    return Reject(temporary, status.error().ToString());
  }
  Discard(temporary);
  return status;
}

// That the kernel still had the last segment's records was seen before they were
// read again. A program that keeps to no lock may have removed them meanwhile, and
// then that segment alone has them.
Status Taker::CheckSuperseded(const std::string& temporary) {
  if (!at_.to_supersede) {
    return {};
  }
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, env_.fs.OpenFile(temporary, OpenMode::kRead));
  IMASNAP_ASSIGN(const bool contained,
                 Contains(*file, temporary, *at_.session.segments.back().info));
  if (!contained) {
    return FileError(ErrorCode::kFailed, kernel_.live_path(),
                     fmt::format("does not begin with the records of segment {} any more: another "
                                 "program removed them meanwhile; nothing was purged, try again",
                                 SegmentName(*at_.to_supersede)));
  }
  return {};
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

// Of the kernel's snapshot file: an aggregate counts the records since cold boot
// as this kernel knows them. Those that staging deleted under the kernel before
// a kexec it does not know, and its aggregates would contradict the segments.
// `segments` are those of this boot whose records the kernel does not hold.
Status Taker::CheckCounts(const std::vector<Segment>& segments) {
  if (!EndsByStaging(segments)) {
    return {};
  }
  IMASNAP_ASSIGN(const std::optional<uint64_t> count,
                 kernel_.Counter("runtime_measurements_count"));
  IMASNAP_ASSIGN(const std::optional<uint64_t> total,
                 kernel_.Counter("runtime_measurements_total"));
  const uint64_t stored = segments.back().info->last_record;
  if (!count || !total || *total >= stored + *count) {
    return {};
  }
  return FileError(
      ErrorCode::kFailed, store_.root(),
      fmt::format("holds {} records of this boot and the kernel {}, but this kernel counts only {} "
                  "since cold boot: they were taken by staging under another kernel before a "
                  "kexec, and an aggregate of this one would contradict them; nothing was done. "
                  "Take snapshots again after a cold boot, or kexec back",
                  stored, *count, *total));
}

void Taker::Finish(Source* source, const std::string& path) {
  // The snapshot is complete; what fails here is repaired by the next.
  segment_.state = SegmentState::kPurged;
  if (const Status closed = source->Close(); !closed.ok()) {
    Note(closed.error().ToString());
  }
  if (const Status wrote = store_.WriteSegmentInfo(at_.session, segment_); !wrote.ok()) {
    Note(fmt::format("the purge was not noted: {}", wrote.error().ToString()));
  }
  std::vector<Segment>& segments = at_.session.segments;
  if (at_.to_supersede) {
    const Status removed = store_.RemoveSegment(at_.session, segments.back());
    if (!removed.ok()) {
      Note(fmt::format("segment {} was not removed: {}", SegmentName(*at_.to_supersede),
                       removed.error().ToString()));
    }
    segments.pop_back();
    at_.to_supersede.reset();
  }
  Segment segment;
  segment.number = segment_.number;
  segment.path = path;
  segment.has_data = true;
  segment.info = segment_;
  segments.push_back(std::move(segment));
}

// False when the source has nothing to take.
Result<bool> Taker::TakeFrom(Source* source) {
  segment_ = {};
  segment_.number = at_.session.NextNumber();
  segment_.supersedes = at_.to_supersede;
  segment_.taken = env_.now();
  segment_.kernel = env_.kernel_release;
  const std::string path =
      fmt::format("{}/{}.ima", at_.session.directory, SegmentName(segment_.number));
  const std::string temporary = path + ".tmp";

  // Before the kernel records an aggregate, which nothing takes back: each try in a
  // store that cannot be written would make its list longer.
  IMASNAP_ASSIGN(const std::unique_ptr<File> out, env_.fs.OpenFile(temporary, OpenMode::kCreate));
  auto any = source->Open();
  if (!any.ok() || !*any) {
    Discard(temporary);
    return any;
  }
  IMASNAP_RETURN_IF_ERROR(Describe(source, out.get(), temporary));
  const Status renamed = env_.fs.Rename(temporary, path);
  if (!renamed.ok()) {
    Discard(temporary);
    return renamed.error();
  }
  IMASNAP_RETURN_IF_ERROR(env_.fs.SyncDirectory(at_.session.directory));
  IMASNAP_RETURN_IF_ERROR(store_.WriteSegmentInfo(at_.session, segment_));
  if (segment_.supersedes) {
    IMASNAP_RETURN_IF_ERROR(NoteRun(env_, &at_.session));
  }
  IMASNAP_RETURN_IF_ERROR(source->Purge(segment_, notes_));
  Finish(source, path);
  return true;
}

// Takes what a process that died, or another program, left staged.
Status Taker::SaveStaged() {
  if (!at_.staged) {
    return {};
  }
  IMASNAP_ASSIGN(const uint64_t before, RecordsBefore(env_.fs, at_.session, at_.to_supersede));
  StagingSource source(kernel_, StagingSource::What::kLeft, before);
  IMASNAP_ASSIGN(const bool taken, TakeFrom(&source));
  if (taken) {
    Note(fmt::format("stored {} records that were found staged as segment {}", segment_.records,
                     SegmentName(segment_.number)));
  }
  at_.staged = false;
  return {};
}

Status Taker::Repair() {
  IMASNAP_ASSIGN(lock_, AcquireLock(env_, LockMode::kExclusive));
  IMASNAP_RETURN_IF_ERROR(CheckStore());
  IMASNAP_ASSIGN(at_, Recover(env_, backend_, notes_));
  if (at_.staged) {
    IMASNAP_RETURN_IF_ERROR(CheckSpace(0));
  }
  return SaveStaged();
}

Result<TakeResult> Taker::Take() {
  IMASNAP_RETURN_IF_ERROR(Repair());
  // Nothing where staging is all there is: then the copy fails when it does not
  // fit, and the records stay staged.
  IMASNAP_ASSIGN(const std::optional<uint64_t> size, kernel_.Counter("runtime_measurements_size"));
  IMASNAP_RETURN_IF_ERROR(CheckSpace(size.value_or(0)));
  std::unique_ptr<Source> source;
  if (backend_ == Backend::kSnapshot) {
    std::vector<Segment> gone = at_.session.segments;
    if (at_.to_supersede) {
      gone.pop_back();
    }
    IMASNAP_RETURN_IF_ERROR(CheckCounts(gone));
    source = std::make_unique<SnapshotSource>(kernel_);
  } else {
    IMASNAP_ASSIGN(const uint64_t before, RecordsBefore(env_.fs, at_.session, at_.to_supersede));
    source = std::make_unique<StagingSource>(kernel_, StagingSource::What::kNew, before);
  }
  TakeResult result;
  result.session = at_.session.id;
  IMASNAP_ASSIGN(const bool taken, TakeFrom(source.get()));
  if (taken) {
    result.segment = segment_;
    result.attempt = segment_.attempt;
  }
  return result;
}

Result<BackendChoice> NeedBackend(const Environment& env) {
  IMASNAP_ASSIGN(BackendChoice choice, env.kernel().ChooseBackend());
  if (choice.backend == Backend::kNone) {
    return MakeError(ErrorCode::kRefused, "no snapshot can be taken: " + choice.why);
  }
  return choice;
}

}  // namespace

Result<TakeResult> TakeSnapshot(const Environment& env, bool mark,
                                std::vector<std::string>* notes) {
  IMASNAP_ASSIGN(const BackendChoice choice, NeedBackend(env));
  if (mark && choice.backend != Backend::kSnapshot) {
    return MakeError(ErrorCode::kRefused,
                     "no marker can be recorded: staging has none, and " + choice.why);
  }
  Taker taker(env, choice.backend, notes);
  return mark ? taker.Mark() : taker.Take();
}

Result<Session> RepairStore(const Environment& env, std::vector<std::string>* notes) {
  IMASNAP_ASSIGN(const BackendChoice choice, NeedBackend(env));
  Taker taker(env, choice.backend, notes);
  IMASNAP_RETURN_IF_ERROR(taker.Repair());
  return taker.session();
}

}  // namespace imasnap
