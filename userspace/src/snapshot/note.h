// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a person should know about a snapshot, a repair or gc that is not an error.
#ifndef IMASNAP_SNAPSHOT_NOTE_H_
#define IMASNAP_SNAPSHOT_NOTE_H_

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace imasnap {

enum class NoteKind {
  // The kernel purged the records.
  kPurgedDespiteError,  // though it answered with an error
  kPurgeRecognized,     // of a segment, by an earlier snapshot that did not record it
  kStagedPurged,        // of a segment that was stored before
  kStagedStored,        // as a segment: records that were found staged

  // The store was repaired.
  kTemporaryRemoved,
  kSupersededRemoved,
  kMetadataRewritten,
  kNotPurged,       // a segment; the next one supersedes it
  kSegmentDamaged,  // the same, and its bytes are not those that were stored
  kNotContinued,    // the list does not continue a segment
  kGapAllowed,      // the log begins after records that are gone

  // Sessions of earlier boots.
  kSessionClosed,
  kSessionRemoved,
  kSessionNotRemoved,
  kRemovalFinished,
  kRemovalFailed,

  // The end of an earlier run of the kernel.
  kNoFinalSnapshot,  // was taken, so the store may lack its last records
  kRecordsLost,      // at a kexec; the final list has them

  // The segment is complete, but a step after the purge failed.
  kCloseFailed,
  kPurgeNotRecorded,
  kSupersededNotRemoved,

  // gc keeps a segment that was verified, and those after it.
  kKeptMissing,
  kKeptWithoutMetadata,
  kKeptNotPurged,
  kKeptBeyondState,
};

// "session_removed".
const char* NoteName(NoteKind kind);
std::ostream& operator<<(std::ostream& out, NoteKind kind);

struct Note {
  NoteKind kind;
  uint64_t number = 0;  // of the segment or session, or how many records; 0: none of them
  std::string text;     // one sentence
  std::string file{};   // what was removed, if it is neither a segment nor a session
};

using Notes = std::vector<Note>;

}  // namespace imasnap

#endif  // IMASNAP_SNAPSHOT_NOTE_H_
