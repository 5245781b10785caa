// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify/discard.h"

#include <fmt/format.h>

#include <optional>

#include "snapshot/recovery.h"
#include "store/boot_log.h"
#include "store/log_parts.h"
#include "verify/boundary.h"

namespace imasnap {
namespace {

Status RemoveBytes(const Environment& env, const Session& session, const Segment& segment,
                   GcResult* done) {
  IMASNAP_RETURN_IF_ERROR(env.fs.Unlink(segment.path));
  done->discarded.push_back(*segment.info);
  return env.fs.SyncDirectory(session.directory);
}

// Whether a process died after it wrote the metadata and before it removed the bytes.
Status FinishDiscarding(const Environment& env, const Session& session, GcResult* done) {
  for (const Segment& segment : session.segments) {
    if (segment.has_data && segment.info && segment.info->state == SegmentState::kDiscarded) {
      IMASNAP_RETURN_IF_ERROR(RemoveBytes(env, session, segment, done));
    }
  }
  return {};
}

// Why a verified segment is kept; empty if it may be discarded.
std::optional<Note> WhyKept(const Segment& segment, const Checkpoint& checkpoint) {
  const auto note = [&segment](NoteKind kind, const std::string& why) {
    return Note{
        kind, segment.number,
        fmt::format("kept segment {} and those after it: {}", SegmentName(segment.number), why)};
  };
  if (!segment.has_data) {
    return note(NoteKind::kKeptMissing, "its bytes are missing; run verify");
  }
  if (!segment.info) {
    return note(NoteKind::kKeptWithoutMetadata,
                "it has no metadata, which would have to say that it was discarded");
  }
  if (segment.info->state != SegmentState::kPurged) {
    return note(NoteKind::kKeptNotPurged,
                "its purge was not noted yet; the next snapshot notes it");
  }
  if (segment.info->last_record > checkpoint.records) {
    return note(
        NoteKind::kKeptBeyondState,
        fmt::format("its metadata says that it ends with record {}, but the state ends with {}",
                    segment.info->last_record, checkpoint.records));
  }
  return std::nullopt;
}

Status DiscardVerified(const Environment& env, const Checkpoint& checkpoint,
                       const std::string& state_file, GcResult* done) {
  IMASNAP_ASSIGN(const BootLog boot_log, OpenBootLogLocked(env));
  if (!boot_log.session || !boot_log.session->info) {
    return StateRefused(Cause::kOtherBoot, state_file,
                        "is of another boot: the store has no segment of this one");
  }
  const std::vector<LogPart> parts = PartsOf(env, boot_log);
  IMASNAP_ASSIGN(const Boundary boundary,
                 FindBoundary(parts, checkpoint, IdentityOf(*boot_log.session->info), state_file));
  if (!boundary.reached) {
    return FileError(ErrorCode::kMismatch, Cause::kStateSegment, parts[boundary.part].path,
                     "does not begin with the aggregate at which the state ends; run verify");
  }
  const uint64_t last = boot_log.session->segments.back().number;
  for (const Segment& segment : boot_log.segments) {
    if (segment.number > checkpoint.segment || segment.number == last) {
      break;
    }
    if (segment.info && segment.info->state == SegmentState::kDiscarded) {
      continue;
    }
    // Segments are always discarded from the beginning of the log on.
    if (const std::optional<Note> why = WhyKept(segment, checkpoint)) {
      done->notes.push_back(*why);
      break;
    }
    Segment going = segment;
    going.info->state = SegmentState::kDiscarded;
    IMASNAP_RETURN_IF_ERROR(env.store().WriteSegmentInfo(*boot_log.session, *going.info));
    IMASNAP_RETURN_IF_ERROR(RemoveBytes(env, *boot_log.session, going, done));
  }
  return {};
}

}  // namespace

Status CollectGarbage(const Environment& env, const std::optional<Checkpoint>& checkpoint,
                      const std::string& state_file, GcResult* done) {
  if (checkpoint && env.config.discard != Discard::kVerified) {
    return MakeError(ErrorCode::kFailed, Cause::kDiscardForbidden,
                     "the configuration has discard = \"never\", which keeps verified segments "
                     "too; set discard = \"verified\" to allow this (ima-snapshot.conf(5))");
  }
  IMASNAP_ASSIGN(const std::unique_ptr<File> lock, AcquireLock(env, LockMode::kExclusive));
  IMASNAP_ASSIGN(const std::vector<Error> failed, RemoveOldSessions(env, &done->notes));
  IMASNAP_ASSIGN(const std::optional<Session> session, env.store().LoadNewest());
  if (session) {
    IMASNAP_RETURN_IF_ERROR(FinishDiscarding(env, *session, done));
  }
  if (checkpoint) {
    IMASNAP_RETURN_IF_ERROR(DiscardVerified(env, *checkpoint, state_file, done));
  }
  return failed.empty() ? Status() : Status(failed.front());
}

}  // namespace imasnap
