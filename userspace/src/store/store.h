// SPDX-License-Identifier: GPL-2.0-or-later
//
// The store of segments. STORE.md describes its layout and states.
#ifndef IMASNAP_STORE_STORE_H_
#define IMASNAP_STORE_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "store/metadata.h"

namespace imasnap {

// One segment as found on disk.
struct Segment {
  uint64_t number = 0;
  std::string path;       // of NNNNNNNN.ima
  std::string info_path;  // of NNNNNNNN.json
  bool has_data = false;
  std::optional<SegmentInfo> info;
  // Why there is no info, although its file exists.
  std::optional<Error> info_error;
};

struct Session {
  uint64_t id = 0;
  std::string directory;
  std::optional<SessionInfo> info;  // nothing: session.json was never written
  std::vector<Segment> segments;    // by number, superseded ones left out
  std::vector<Segment> superseded;
  std::vector<std::string> temporaries;  // left by a process that died
  std::vector<std::string> rejected;     // copies that did not match their hash
  // The list that a final snapshot kept, if no segment was stored since.
  std::optional<std::string> final_list;

  uint64_t NextNumber() const;
  // The name of a final list that follows these segments.
  std::string NextListPath() const;
};

std::string SegmentName(uint64_t number);  // "00000001"

class Store {
 public:
  Store(FileSystem& fs, std::string root) : fs_(fs), root_(std::move(root)) {}

  const std::string& root() const { return root_; }

  std::string SessionDirectory(uint64_t id) const;
  // Numbers of the sessions, oldest first; empty if the store does not exist.
  Result<std::vector<uint64_t>> Sessions() const;
  // Reads the directory of a session. Broken metadata is not an error; it is noted in
  // the segment.
  Result<Session> Load(uint64_t id) const;
  // The newest session. Nothing if there is none.
  Result<std::optional<Session>> LoadNewest() const;

  // Makes the names of a session and of its files durable. The process that created
  // them may have died before it did so.
  Status SyncSession(const Session& session) const;
  // Creates the directory of a session and session.json, durably, and points `current`
  // to it.
  Result<Session> CreateSession(const SessionInfo& info) const;
  // Points `current` to the session, unless it does already.
  Status PointCurrentTo(uint64_t id) const;
  Status WriteSession(const Session& session, const SessionInfo& info) const;
  Status WriteSegmentInfo(const Session& session, const SegmentInfo& info) const;
  // Removes both files of a segment, durably.
  Status RemoveSegment(const Session& session, const Segment& segment) const;
  // Removes a whole session. If the process dies in between, no incomplete session is
  // left, only a directory that FinishRemovals() removes.
  Status RemoveSession(uint64_t id) const;
  // Finishes interrupted removals; returns the names of what it removed.
  Result<std::vector<std::string>> FinishRemovals() const;
  // The size of all segments of the session.
  Result<uint64_t> Size(const Session& session) const;

 private:
  Status SyncParents() const;
  Status RemoveDirectoryWhole(const std::string& directory) const;

  FileSystem& fs_;
  std::string root_;
};

// Like Store::Load(), for any directory; the id is 0.
Result<Session> LoadSession(FileSystem& fs, const std::string& directory);

// Describes a segment from its own bytes: records, bytes, sha256, number.
// Everything else is left empty. Errors name the segment's file.
Result<SegmentInfo> DescribeSegment(FileSystem& fs, const Segment& segment);

// The number of records from cold boot up to the last segment, without `superseded`.
Result<uint64_t> RecordsBefore(FileSystem& fs, const Session& session,
                               std::optional<uint64_t> superseded);

}  // namespace imasnap

#endif  // IMASNAP_STORE_STORE_H_
