// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot/recovery.h"

#include <fmt/format.h>

#include "snapshot/final_list.h"
#include "snapshot/staging.h"
#include "store/continuity.h"

namespace imasnap {
namespace {

Status RemoveLeftovers(const Environment& env, Session* session, Notes* notes) {
  for (const std::string& path : session->temporaries) {
    IMASNAP_RETURN_IF_ERROR(env.fs.Unlink(path));
    notes->push_back({NoteKind::kTemporaryRemoved, 0,
                      fmt::format("removed {}, which an interrupted snapshot had left", path),
                      path});
  }
  session->temporaries.clear();
  // In ascending order: if the segment that supersedes another is removed first, the
  // other counts again.
  for (const Segment& segment : session->superseded) {
    IMASNAP_RETURN_IF_ERROR(env.store().RemoveSegment(*session, segment));
    notes->push_back({NoteKind::kSupersededRemoved, segment.number,
                      fmt::format("removed segment {}: a later segment has its records",
                                  SegmentName(segment.number))});
  }
  session->superseded.clear();
  return {};
}

// Whether `later` begins with all records of `earlier`. Then `earlier` was stored but
// not purged when `later` was taken.
Result<bool> Holds(FileSystem& fs, const Segment& later, const Segment& earlier) {
  if (!earlier.info) {
    return false;
  }
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, fs.OpenFile(later.path, OpenMode::kRead));
  return Contains(*file, later.path, *earlier.info);
}

// Writes the metadata of a segment that has none. The kernel's list shows which
// aggregate closed it, if any. Its own records show whether it supersedes the segment
// before.
Status RewriteMetadata(const Environment& env, const ListHead& head, Session* session,
                       Notes* notes) {
  Segment& segment = session->segments.back();
  IMASNAP_ASSIGN(SegmentInfo info, DescribeSegment(env.fs, segment));
  const size_t count = session->segments.size();
  if (count > 1) {
    const Segment& before = session->segments[count - 2];
    IMASNAP_ASSIGN(const bool holds, Holds(env.fs, segment, before));
    if (holds) {
      info.supersedes = before.number;
    }
  }
  if (head.closing) {
    info.attempt = head.closing->attempt;
    info.banks = head.closing->banks;
    info.last_record = head.closing->record_count;
    info.first_record = info.last_record - info.records + 1;
  } else {
    IMASNAP_ASSIGN(const uint64_t before,
                   RecordsBefore(env.fs, *session, info.supersedes.value_or(info.number)));
    info.first_record = before + 1;
    info.last_record = before + info.records;
  }
  info.taken = env.now();
  info.kernel = env.kernel_release;
  IMASNAP_RETURN_IF_ERROR(env.store().WriteSegmentInfo(*session, info));
  segment.info = info;
  segment.info_error.reset();
  notes->push_back(
      {NoteKind::kMetadataRewritten, segment.number,
       fmt::format("wrote the missing metadata of segment {}", SegmentName(segment.number))});
  if (info.supersedes) {
    IMASNAP_RETURN_IF_ERROR(env.store().RemoveSegment(*session, session->segments[count - 2]));
    notes->push_back({NoteKind::kSupersededRemoved, *info.supersedes,
                      fmt::format("removed segment {}: segment {} has its records",
                                  SegmentName(*info.supersedes), SegmentName(info.number))});
    session->segments.erase(session->segments.end() - 2);
  }
  return {};
}

SessionInfo DescribeSession(const Environment& env, uint64_t id,
                            std::optional<uint32_t> reset_count) {
  return {.id = id,
          .created = env.now(),
          .kernel = env.kernel_release,
          .reset_count = reset_count,
          .machine = env.identity.machine,
          .boot = env.identity.boot,
          .last_boot = env.identity.boot,
          .closed = {}};
}

Result<Session> NewSession(const Environment& env, uint64_t id, Notes* notes) {
  const SessionInfo info = DescribeSession(env, id, env.reset_count());
  IMASNAP_ASSIGN(Session session, env.store().CreateSession(info));
  IMASNAP_ASSIGN(const std::vector<Error> failed, RemoveOldSessions(env, notes));
  static_cast<void>(failed);  // noted; the next recovery tries again
  return session;
}

// Notes in the session of an earlier boot that the boot has ended.
Status CloseSession(const Environment& env, const Session& session) {
  if (!session.info || !session.info->closed.empty()) {
    return {};
  }
  SessionInfo info = *session.info;
  info.closed = env.now();
  return env.store().WriteSession(session, info);
}

void SetLastRun(const Environment& env, SessionInfo* info) {
  if (!env.identity.boot.empty()) {
    info->last_boot = env.identity.boot;
  }
}

Status UpdateSession(const Environment& env, Session* session, const SessionInfo& info) {
  if (session->info != info) {
    IMASNAP_RETURN_IF_ERROR(env.store().WriteSession(*session, info));
    session->info = info;
  }
  return {};
}

// Updates session.json if its boot continues. `carried_over`: the kernel has the last
// segment's records from an earlier run.
Status ContinueSession(const Environment& env, Session* session, bool carried_over) {
  const std::optional<uint32_t> reset_count = env.reset_count();
  SessionInfo info = session->info.value_or(DescribeSession(env, session->id, reset_count));
  if (carried_over && !session->info) {
    info.boot.clear();
    info.last_boot.clear();
  }
  if (reset_count) {
    info.reset_count = reset_count;
  }
  info.closed.clear();
  if (!carried_over) {
    SetLastRun(env, &info);
  }
  IMASNAP_RETURN_IF_ERROR(UpdateSession(env, session, info));
  return env.store().PointCurrentTo(session->id);
}

// The number of records since cold boot that the kernel no longer has, if it shows
// that.
Result<uint64_t> RecordsGone(const KernelFiles& kernel, const ListHead& head) {
  if (head.first && head.first->aggregate && head.first->aggregate->ok()) {
    return (*head.first->aggregate)->record_count;
  }
  // In this order, so that a record measured in between does not seem to be gone.
  IMASNAP_ASSIGN(const std::optional<uint64_t> total, kernel.Counter("runtime_measurements_total"));
  IMASNAP_ASSIGN(const std::optional<uint64_t> count, kernel.Counter("runtime_measurements_count"));
  return total && count && !head.staged && *total > *count ? *total - *count : 0;
}

// For a session without segments: checks that the kernel still has all records of this
// boot.
Status CheckNothingGone(const Environment& env, const ListHead& head, Notes* notes) {
  IMASNAP_ASSIGN(const uint64_t gone, RecordsGone(env.kernel(), head));
  if (gone == 0) {
    return {};
  }
  const std::string where = fmt::format(
      "records 1 to {} of this boot were purged, and no segment of the store {} has them", gone,
      env.config.store);
  if (env.config.allow_gap) {
    notes->push_back(
        {NoteKind::kGapAllowed, gone,
         where + "; the log of this store begins after them, because allow_gap = true"});
    return {};
  }
  Error error =
      FileError(ErrorCode::kRefused, Cause::kRecordsGone, env.kernel().live_path(),
                where +
                    ". Nothing was done. This may be the wrong store: check --store, or store in "
                    "the configuration. With allow_gap = true snapshots begin without these "
                    "records, but then no verification succeeds until the next cold boot");
  error.found = std::to_string(gone);
  return error;
}

// Whether the segment's bytes agree with its metadata.
Result<bool> IsIntact(FileSystem& fs, const Segment& segment) {
  if (!segment.has_data || !segment.info) {
    return false;
  }
  const auto found = DescribeSegment(fs, segment);
  if (!found.ok()) {
    return found.error().code == ErrorCode::kMalformed ? Result<bool>(false)
                                                       : Result<bool>(found.error());
  }
  return found->bytes == segment.info->bytes && found->sha256 == segment.info->sha256;
}

// Brings the last segment into a state from which the next snapshot can continue.
class LastSegment {
 public:
  LastSegment(const Environment& env, const std::optional<SegmentKey>& key, const ListHead& head,
              Recovered* out, Notes* notes)
      : env_(env), key_(key), head_(head), out_(out), notes_(notes) {}

  Status Repair(Continuation found, Backend backend);

 private:
  Segment& last() { return out_->session.segments.back(); }
  Status NotePurged(NoteKind kind, const std::string& note);
  Status RepairUnpurged();

  const Environment& env_;
  const std::optional<SegmentKey>& key_;
  const ListHead& head_;
  Recovered* out_;
  Notes* notes_;
};

Status LastSegment::NotePurged(NoteKind kind, const std::string& note) {
  last().info->state = SegmentState::kPurged;
  IMASNAP_RETURN_IF_ERROR(env_.store().WriteSegmentInfo(out_->session, *last().info));
  notes_->push_back(
      {kind, last().number, fmt::format("segment {} {}", SegmentName(last().number), note)});
  return {};
}

Status LastSegment::RepairUnpurged() {
  bool intact = true;
  const bool deletable = !head_.closing && head_.staged && head_.ends;
  if (deletable) {
    // After this only the store has the records.
    IMASNAP_ASSIGN(intact, IsIntact(env_.fs, last()));
  }
  if (deletable && intact) {
    IMASNAP_ASSIGN(const bool deleted, PurgeStagedSegment(env_.kernel(), *key_, notes_));
    if (!deleted) {
      return FileError(ErrorCode::kFailed, Cause::kStagedChanged, env_.kernel().staged_path(),
                       "was changed by another program in the meantime; try again");
    }
    out_->staged = false;
    return NotePurged(
        NoteKind::kStagedPurged,
        "was stored, but its records were still staged in the kernel; they were deleted there");
  }
  out_->to_supersede = last().number;
  notes_->push_back(
      {intact ? NoteKind::kNotPurged : NoteKind::kSegmentDamaged, last().number,
       fmt::format("segment {} was stored but not purged{}; the next segment has its records too "
                   "and replaces it",
                   SegmentName(last().number), intact ? "" : ", and its file has changed")});
  return {};
}

Status LastSegment::Repair(Continuation found, Backend backend) {
  if (out_->session.segments.empty()) {
    return {};
  }
  const bool contained = found == Continuation::kContains;
  const bool by_staging = !head_.closing && (contained || backend == Backend::kStaging);
  if (!last().info && last().has_data && key_ && (head_.closing || by_staging)) {
    IMASNAP_RETURN_IF_ERROR(RewriteMetadata(env_, head_, &out_->session, notes_));
  }
  if (found == Continuation::kGap) {
    notes_->push_back({NoteKind::kNotContinued, last().number,
                       fmt::format("the kernel's list does not continue segment {}: it begins with "
                                   "{}; records between them are not in the store",
                                   SegmentName(last().number),
                                   head_.first ? Printable(head_.first->event) : "nothing")});
    return {};
  }
  if (contained) {
    return RepairUnpurged();
  }
  if (last().info && last().info->state == SegmentState::kStored) {
    return NotePurged(NoteKind::kPurgeRecognized,
                      "was purged, although the snapshot that did it could not confirm that");
  }
  return {};
}

}  // namespace

Status RecordLastRun(const Environment& env, Session* session) {
  SessionInfo info = *session->info;  // Recover() wrote it
  SetLastRun(env, &info);
  return UpdateSession(env, session, info);
}

Result<std::vector<Error>> RemoveOldSessions(const Environment& env, Notes* notes) {
  const Store store = env.store();
  IMASNAP_ASSIGN(const std::vector<uint64_t> ids, store.Sessions());
  std::vector<Error> failed;
  auto finished = store.FinishRemovals();
  if (finished.ok()) {
    for (const std::string& name : *finished) {
      notes->push_back({NoteKind::kRemovalFinished, 0,
                        fmt::format("finished the interrupted removal of {}", name), name});
    }
  } else {
    notes->push_back({NoteKind::kRemovalFailed, 0,
                      fmt::format("could not finish the interrupted removal of a session: {}",
                                  finished.error().ToString())});
    failed.push_back(finished.error());
  }
  const uint64_t keep = env.config.keep_boots;
  for (size_t i = 0; ids.size() - i > keep; ++i) {
    const Status removed = store.RemoveSession(ids[i]);
    if (removed.ok()) {
      notes->push_back({NoteKind::kSessionRemoved, ids[i],
                        fmt::format("removed session {} of an earlier boot", SegmentName(ids[i]))});
    } else {
      notes->push_back({NoteKind::kSessionNotRemoved, ids[i],
                        fmt::format("could not remove session {} of an earlier boot: {}",
                                    SegmentName(ids[i]), removed.error().ToString())});
      failed.push_back(removed.error());
    }
  }
  return failed;
}

Result<Recovered> Recover(const Environment& env, Backend backend, Notes* notes) {
  const Store store = env.store();
  Recovered out;
  IMASNAP_ASSIGN(KernelLists lists, KernelLists::Open(env.kernel()));
  IMASNAP_ASSIGN(std::optional<Session> newest, store.LoadNewest());
  if (!newest) {
    IMASNAP_ASSIGN(const ListHead head, ReadHead(&lists, std::nullopt));
    out.staged = head.staged;
    IMASNAP_RETURN_IF_ERROR(CheckNothingGone(env, head, notes));
    IMASNAP_ASSIGN(out.session, NewSession(env, 1, notes));
    return out;
  }
  Session& session = *newest;
  IMASNAP_RETURN_IF_ERROR(store.SyncSession(session));
  IMASNAP_RETURN_IF_ERROR(RemoveLeftovers(env, &session, notes));
  IMASNAP_ASSIGN(const std::optional<SegmentKey> key, LastKey(env.fs, session.segments));
  const BootClues clues = CluesOf(env, session);
  IMASNAP_ASSIGN(const ListHead head, ReadHead(&lists, key));
  lists.Close();
  out.staged = head.staged;
  const Continuation found = ContinuationOf(clues, key, head);
  if (found == Continuation::kOtherBoot && NeedsResetCount(clues, key)) {
    return FileError(ErrorCode::kFailed, Cause::kResetCountUnknown, session.directory,
                     "was taken by staging, so only the TPM's reset count shows whether it is of "
                     "this boot, and the TPM does not answer. Nothing was done; try again. If the "
                     "machine no longer has a TPM, move the directory out of the store");
  }
  if (found == Continuation::kOtherBoot || session.segments.empty()) {
    IMASNAP_RETURN_IF_ERROR(CheckNothingGone(env, head, notes));
  }
  if (found == Continuation::kOtherBoot && (session.info || !session.segments.empty())) {
    IMASNAP_RETURN_IF_ERROR(CloseSession(env, session));
    notes->push_back({NoteKind::kSessionClosed, session.id,
                      fmt::format("session {} is of an earlier boot; began session {}",
                                  SegmentName(session.id), SegmentName(session.id + 1))});
    IMASNAP_RETURN_IF_ERROR(NoteMissingEnd(env, session, notes));
    IMASNAP_ASSIGN(out.session, NewSession(env, session.id + 1, notes));
    return out;
  }
  out.session = std::move(session);
  const bool carried_over = !clues.same_run && found == Continuation::kContains;
  IMASNAP_RETURN_IF_ERROR(CheckFinalList(env, out.session, carried_over, notes));
  IMASNAP_RETURN_IF_ERROR(ContinueSession(env, &out.session, carried_over));
  IMASNAP_ASSIGN(const std::vector<Error> failed, RemoveOldSessions(env, notes));
  static_cast<void>(failed);  // noted; the next recovery tries again
  IMASNAP_RETURN_IF_ERROR(LastSegment(env, key, head, &out, notes).Repair(found, backend));
  return out;
}

}  // namespace imasnap
