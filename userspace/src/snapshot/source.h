// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where the records of a snapshot come from and how they leave the kernel:
// the snapshot file, or staging.
#ifndef IMASNAP_SNAPSHOT_SOURCE_H_
#define IMASNAP_SNAPSHOT_SOURCE_H_

#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "store/metadata.h"

namespace imasnap {

class Source {
 public:
  virtual ~Source() = default;

  // Fixes which records are taken. False: there are none to take.
  virtual Result<bool> Open() = 0;
  // Gives the records once, from the first to the last.
  virtual File& records() = 0;
  // Given records, bytes and sha256 of what was read: compares them with what
  // the kernel says (kMismatch) and fills in attempt, banks and record numbers.
  virtual Status Complete(SegmentInfo* segment) = 0;
  // Makes the kernel delete the records; the segment must be durable. On an
  // error they are still there. What a person should know goes to `notes`.
  virtual Status Purge(const SegmentInfo& segment, std::vector<std::string>* notes) = 0;
  virtual Status Close() = 0;
};

}  // namespace imasnap

#endif  // IMASNAP_SNAPSHOT_SOURCE_H_
