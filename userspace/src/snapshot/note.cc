// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot/note.h"

#include <ostream>

namespace imasnap {

const char* NoteName(NoteKind kind) {
  switch (kind) {
    case NoteKind::kPurgedDespiteError:
      return "purged_despite_error";
    case NoteKind::kPurgeRecognized:
      return "purge_recognized";
    case NoteKind::kStagedPurged:
      return "staged_purged";
    case NoteKind::kStagedStored:
      return "staged_stored";
    case NoteKind::kTemporaryRemoved:
      return "temporary_removed";
    case NoteKind::kSupersededRemoved:
      return "superseded_removed";
    case NoteKind::kMetadataRewritten:
      return "metadata_rewritten";
    case NoteKind::kNotPurged:
      return "not_purged";
    case NoteKind::kSegmentDamaged:
      return "segment_damaged";
    case NoteKind::kNotContinued:
      return "not_continued";
    case NoteKind::kGapAllowed:
      return "gap_allowed";
    case NoteKind::kSessionClosed:
      return "session_closed";
    case NoteKind::kSessionRemoved:
      return "session_removed";
    case NoteKind::kSessionNotRemoved:
      return "session_not_removed";
    case NoteKind::kRemovalFinished:
      return "removal_finished";
    case NoteKind::kRemovalFailed:
      return "removal_failed";
    case NoteKind::kNoFinalSnapshot:
      return "no_final_snapshot";
    case NoteKind::kRecordsLost:
      return "records_lost";
    case NoteKind::kCloseFailed:
      return "close_failed";
    case NoteKind::kPurgeNotRecorded:
      return "purge_not_recorded";
    case NoteKind::kSupersededNotRemoved:
      return "superseded_not_removed";
    case NoteKind::kKeptMissing:
      return "kept_missing";
    case NoteKind::kKeptWithoutMetadata:
      return "kept_without_metadata";
    case NoteKind::kKeptNotPurged:
      return "kept_not_purged";
    case NoteKind::kKeptBeyondState:
      return "kept_beyond_state";
  }
  return "";
}

std::ostream& operator<<(std::ostream& out, NoteKind kind) { return out << NoteName(kind); }

}  // namespace imasnap
