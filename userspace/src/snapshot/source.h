// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads the records of a snapshot from the kernel and purges them: the snapshot file,
// or staging.
#ifndef IMASNAP_SNAPSHOT_SOURCE_H_
#define IMASNAP_SNAPSHOT_SOURCE_H_

#include "base/file_system.h"
#include "base/result.h"
#include "snapshot/note.h"
#include "store/metadata.h"

namespace imasnap {

class Source {
 public:
  virtual ~Source() = default;

  // Determines which records are taken. False if there are none.
  virtual Result<bool> Open() = 0;
  // The records, to be read once.
  virtual File& records() = 0;
  // Compares the records, bytes and sha256 that were read with what the kernel says
  // (kMismatch), and fills in attempt, banks and record numbers.
  virtual Status Complete(SegmentInfo* segment) = 0;
  // Purges the records; the segment must be durable. On an error they are still in the
  // kernel. `notes` gets what a user should know.
  virtual Status Purge(const SegmentInfo& segment, Notes* notes) = 0;
  virtual Status Close() = 0;
};

}  // namespace imasnap

#endif  // IMASNAP_SNAPSHOT_SOURCE_H_
