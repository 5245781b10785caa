// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot/snapshot.h"

#include <fmt/format.h>

#include <cerrno>

#include "log/log_reader.h"
#include "snapshot/final_list.h"
#include "snapshot/recovery.h"
#include "snapshot/snapshot_source.h"
#include "snapshot/staging.h"
#include "store/boot_log.h"
#include "store/continuity.h"
#include "store/segment_writer.h"

namespace imasnap {
namespace {

// Writes everything that is read through it.
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

// After this many records the caller is asked whether to continue.
constexpr uint64_t kProgressStep = 256;

class Snapshotter {
 public:
  Snapshotter(const Environment& env, Backend backend, Notes* notes)
      : env_(env), backend_(backend), kernel_(env.kernel()), store_(env.store()), notes_(notes) {}

  Result<TakeResult> Mark();
  Result<TakeResult> Take(const std::function<Status()>& prepare);
  Result<TakeResult> TakeFinal();
  Status Repair();
  const Session& session() const { return at_.session; }

 private:
  Status CheckOwner() const;
  Status CheckStore();
  Status CheckSpace(uint64_t needed);
  Status CheckCounts(const std::vector<Segment>& segments);
  Status CheckSuperseded(const std::string& temporary);
  Status StoreStaged();
  Status KeepRest();
  Result<bool> TakeFrom(Source* source);
  Status Copy(Source* source, File* out);
  Status CheckCancelled(uint64_t records) const;
  Status Describe(Source* source, File* out, const std::string& temporary);
  Error Reject(const std::string& temporary, Error why);
  void Finish(Source* source, const std::string& path);
  void AddNote(NoteKind kind, uint64_t segment, std::string text) {
    notes_->push_back({kind, segment, std::move(text)});
  }
  void RemoveTemporary(const std::string& temporary);

  const Environment& env_;
  const Backend backend_;
  const KernelFiles kernel_;
  const Store store_;
  Notes* notes_;
  std::unique_ptr<File> lock_;
  Recovered at_;
  SegmentInfo segment_;
};

Result<TakeResult> Snapshotter::Mark() {
  IMASNAP_ASSIGN(lock_, AcquireLock(env_, LockMode::kExclusive));
  IMASNAP_ASSIGN(const std::optional<Session> newest, store_.LoadNewest());
  if (newest && EndsByStaging(newest->segments)) {
    IMASNAP_ASSIGN(const BootLog boot_log, OpenBootLogLocked(env_));
    IMASNAP_RETURN_IF_ERROR(CheckCounts(boot_log.segments));
  }
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, OpenSnapshotFile(kernel_));
  IMASNAP_RETURN_IF_ERROR(file->Close());
  TakeResult result;
  IMASNAP_ASSIGN(const std::optional<uint64_t> attempts, kernel_.Counter("snapshot_attempts"));
  result.attempt = attempts.value_or(0);
  return result;
}

Status Snapshotter::CheckOwner() const {
  const std::string& root = store_.root();
  IMASNAP_ASSIGN(const FileInfo info, env_.fs.Stat(root));
  if (info.type != FileType::kDirectory) {
    const bool link = info.type == FileType::kSymlink;
    return FileError(ErrorCode::kRefused, link ? Cause::kSymbolicLink : Cause::kNotDirectory, root,
                     link ? "the store is a symbolic link; name the directory itself"
                          : "the store is not a directory");
  }
  if (info.owner != env_.owner || (info.mode & 022) != 0) {
    return FileError(ErrorCode::kRefused,
                     info.owner != env_.owner ? Cause::kWrongOwner : Cause::kWrongMode, root,
                     fmt::format("the store is owned by user {} with mode {:04o}; only root may "
                                 "own and write it",
                                 info.owner, info.mode));
  }
  return {};
}

// To be called before the store, or anything in it, is created.
Status Snapshotter::CheckStore() {
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
    return FileError(ErrorCode::kRefused, Cause::kVolatileStore, store_.root(),
                     "the store is on a file system in memory: it frees no memory and is lost at a "
                     "reboot; set allow_volatile = true to use it anyway");
  }
  return {};
}

Status Snapshotter::CheckSpace(uint64_t needed) {
  IMASNAP_ASSIGN(const FileSystemInfo fs, env_.fs.StatFileSystem(store_.root()));
  if (fs.available < needed || fs.available - needed < env_.config.min_free_space) {
    Error error =
        FileError(ErrorCode::kFailed, Cause::kNoSpace, store_.root(),
                  fmt::format("{} bytes are free, but the segment needs {} and min_free_space "
                              "keeps {}; free some space or lower min_free_space",
                              fs.available, needed, env_.config.min_free_space));
    error.expected = std::to_string(needed + env_.config.min_free_space);
    error.found = std::to_string(fs.available);
    return error;
  }
  return {};
}

Status Snapshotter::CheckCancelled(uint64_t records) const {
  if (!env_.on_progress || env_.on_progress(records)) {
    return {};
  }
  return FileError(ErrorCode::kFailed, Cause::kCancelled, store_.root(),
                   "the snapshot was cancelled; nothing was purged");
}

Status Snapshotter::Copy(Source* source, File* out) {
  SegmentWriter writer(*out);
  CopyingSource copying(source->records(), writer);
  LogReader reader(copying, {}, source->records().path(), LogReader::Check::kFraming);
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      break;
    }
    if (reader.records() % kProgressStep == 0) {
      IMASNAP_RETURN_IF_ERROR(CheckCancelled(reader.records()));
    }
  }
  segment_.records = reader.records();
  segment_.bytes = reader.bytes();
  IMASNAP_ASSIGN(segment_.sha256, writer.Finish());
  IMASNAP_RETURN_IF_ERROR(out->SyncAll());
  IMASNAP_RETURN_IF_ERROR(out->Close());
  IMASNAP_RETURN_IF_ERROR(CheckCancelled(segment_.records));
  return CheckSpace(0);
}

// If anything fails, the copy is removed, or kept as rejected if it differs from what
// the kernel says it should be.
Status Snapshotter::Describe(Source* source, File* out, const std::string& temporary) {
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
    return Reject(temporary, std::move(status.error()));
  }
  RemoveTemporary(temporary);
  return status;
}

// Recovery saw that the kernel still had the last segment's records. A program that
// ignores the lock may have removed them since; then only that segment has them.
Status Snapshotter::CheckSuperseded(const std::string& temporary) {
  if (!at_.to_supersede) {
    return {};
  }
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, env_.fs.OpenFile(temporary, OpenMode::kRead));
  IMASNAP_ASSIGN(const bool contained,
                 Contains(*file, temporary, *at_.session.segments.back().info));
  if (!contained) {
    Error error =
        FileError(ErrorCode::kFailed, Cause::kListChanged, kernel_.live_path(),
                  fmt::format("no longer begins with the records of segment {}, because another "
                              "program removed them; nothing was purged, try again",
                              SegmentName(*at_.to_supersede)));
    error.segment = at_.to_supersede;
    return error;
  }
  return {};
}

// Keeps the bytes under another name.
Error Snapshotter::Reject(const std::string& temporary, Error why) {
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
  why.message =
      fmt::format("the snapshot does not match and nothing was purged: {}", why.ToString());
  why.file = status.ok() ? kept : temporary;
  why.record.reset();  // of the list
  why.offset.reset();
  return why;
}

void Snapshotter::RemoveTemporary(const std::string& temporary) {
  const auto exists = env_.fs.Exists(temporary);
  if (exists.ok() && *exists) {
    // If this fails too, the recovery of the next snapshot removes it.
    static_cast<void>(env_.fs.Unlink(temporary));
  }
}

// For the snapshot file: an aggregate counts the records since cold boot that this
// kernel knows of. It does not know of records that staging deleted under an earlier
// kernel, before a kexec; then its aggregates would contradict the segments. `segments`
// are those of this boot whose records the kernel does not have.
Status Snapshotter::CheckCounts(const std::vector<Segment>& segments) {
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
      ErrorCode::kFailed, Cause::kRecordsUncounted, store_.root(),
      fmt::format("has {} records of this boot and the kernel has {}, but the kernel counts only "
                  "{} since cold boot: staging took records under another kernel before a kexec, "
                  "and an aggregate of this kernel would contradict them. Nothing was done. Take "
                  "snapshots again after a cold boot, or kexec back",
                  stored, *count, *total));
}

void Snapshotter::Finish(Source* source, const std::string& path) {
  // The snapshot is complete; the next one repairs what fails here.
  segment_.state = SegmentState::kPurged;
  if (const Status closed = source->Close(); !closed.ok()) {
    AddNote(NoteKind::kCloseFailed, segment_.number, closed.error().ToString());
  }
  if (const Status wrote = store_.WriteSegmentInfo(at_.session, segment_); !wrote.ok()) {
    AddNote(
        NoteKind::kPurgeNotRecorded, segment_.number,
        fmt::format("the purge could not be noted in the metadata: {}", wrote.error().ToString()));
  }
  std::vector<Segment>& segments = at_.session.segments;
  if (at_.to_supersede) {
    const Status removed = store_.RemoveSegment(at_.session, segments.back());
    if (!removed.ok()) {
      AddNote(NoteKind::kSupersededNotRemoved, *at_.to_supersede,
              fmt::format("segment {} could not be removed: {}", SegmentName(*at_.to_supersede),
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

// False if the source has nothing to take.
Result<bool> Snapshotter::TakeFrom(Source* source) {
  segment_ = {};
  segment_.number = at_.session.NextNumber();
  segment_.supersedes = at_.to_supersede;
  segment_.taken = env_.now();
  segment_.kernel = env_.kernel_release;
  const std::string path =
      fmt::format("{}/{}.ima", at_.session.directory, SegmentName(segment_.number));
  const std::string temporary = path + ".tmp";

  // Done before the kernel records an aggregate, which cannot be undone: in a store
  // that cannot be written, each attempt would make the list longer.
  IMASNAP_ASSIGN(const std::unique_ptr<File> out, env_.fs.OpenFile(temporary, OpenMode::kCreate));
  auto any = source->Open();
  if (!any.ok() || !*any) {
    RemoveTemporary(temporary);
    return any;
  }
  IMASNAP_RETURN_IF_ERROR(Describe(source, out.get(), temporary));
  const Status renamed = env_.fs.Rename(temporary, path);
  if (!renamed.ok()) {
    RemoveTemporary(temporary);
    return renamed.error();
  }
  IMASNAP_RETURN_IF_ERROR(env_.fs.SyncDirectory(at_.session.directory));
  IMASNAP_RETURN_IF_ERROR(store_.WriteSegmentInfo(at_.session, segment_));
  if (segment_.supersedes) {
    IMASNAP_RETURN_IF_ERROR(RecordLastRun(env_, &at_.session));
  }
  IMASNAP_RETURN_IF_ERROR(source->Purge(segment_, notes_));
  Finish(source, path);
  return true;
}

// Takes the records that a process that died, or another program, left staged.
Status Snapshotter::StoreStaged() {
  if (!at_.staged) {
    return {};
  }
  IMASNAP_ASSIGN(const uint64_t before, RecordsBefore(env_.fs, at_.session, at_.to_supersede));
  StagingSource source(kernel_, StagingSource::What::kLeft, before);
  IMASNAP_ASSIGN(const bool taken, TakeFrom(&source));
  if (taken) {
    AddNote(NoteKind::kStagedStored, segment_.number,
            fmt::format("found {} staged records and stored them as segment {}", segment_.records,
                        SegmentName(segment_.number)));
  }
  at_.staged = false;
  return {};
}

Status Snapshotter::Repair() {
  if (!lock_) {
    IMASNAP_ASSIGN(lock_, AcquireLock(env_, LockMode::kExclusive));
  }
  IMASNAP_RETURN_IF_ERROR(CheckStore());
  IMASNAP_ASSIGN(at_, Recover(env_, backend_, notes_));
  if (at_.staged) {
    IMASNAP_RETURN_IF_ERROR(CheckSpace(0));
  }
  return StoreStaged();
}

Result<TakeResult> Snapshotter::Take(const std::function<Status()>& prepare) {
  IMASNAP_RETURN_IF_ERROR(Repair());
  // Not known if there is only staging: then the copy fails if it does not fit, and the
  // records stay staged.
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
  if (prepare) {
    IMASNAP_RETURN_IF_ERROR(prepare());
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

Result<TakeResult> Snapshotter::TakeFinal() {
  IMASNAP_ASSIGN(lock_, AcquireLockPatiently(env_, LockMode::kExclusive));
  auto taken = Take({});
  if (at_.session.id == 0) {
    return taken;  // an error: the store could not be repaired
  }
  // If the snapshot failed, this is a copy of everything that the kernel has.
  const Status kept = KeepRest();
  return taken.ok() && !kept.ok() ? Result<TakeResult>(kept.error()) : std::move(taken);
}

Status Snapshotter::KeepRest() {
  IMASNAP_ASSIGN(const std::optional<uint64_t> size, kernel_.Counter("runtime_measurements_size"));
  IMASNAP_RETURN_IF_ERROR(CheckSpace(size.value_or(0)));
  return KeepFinalList(env_, at_.session.id);
}

Result<BackendChoice> NeedBackend(const Environment& env) {
  IMASNAP_ASSIGN(BackendChoice choice, env.kernel().ChooseBackend());
  if (choice.backend == Backend::kNone) {
    return MakeError(ErrorCode::kRefused, Cause::kNoBackend,
                     "no snapshot can be taken: " + choice.why);
  }
  return choice;
}

}  // namespace

Result<TakeResult> TakeSnapshot(const Environment& env, bool mark, Notes* notes,
                                const std::function<Status()>& prepare) {
  IMASNAP_ASSIGN(const BackendChoice choice, NeedBackend(env));
  if (mark && choice.backend != Backend::kSnapshot) {
    return MakeError(ErrorCode::kRefused, Cause::kNoMark,
                     "no mark can be recorded: staging has none, and " + choice.why);
  }
  Snapshotter snapshotter(env, choice.backend, notes);
  return mark ? snapshotter.Mark() : snapshotter.Take(prepare);
}

Result<TakeResult> TakeFinalSnapshot(const Environment& env, Notes* notes) {
  IMASNAP_ASSIGN(const BackendChoice choice, NeedBackend(env));
  return Snapshotter(env, choice.backend, notes).TakeFinal();
}

Result<Session> RepairStore(const Environment& env, Notes* notes) {
  IMASNAP_ASSIGN(const BackendChoice choice, NeedBackend(env));
  Snapshotter snapshotter(env, choice.backend, notes);
  IMASNAP_RETURN_IF_ERROR(snapshotter.Repair());
  return snapshotter.session();
}

}  // namespace imasnap
