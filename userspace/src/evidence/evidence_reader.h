// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads a file of evidence (manifest.h) of another machine from its beginning to its
// end. Nothing of it is written to a disk, and the memory does not grow with the log.
#ifndef IMASNAP_EVIDENCE_EVIDENCE_READER_H_
#define IMASNAP_EVIDENCE_EVIDENCE_READER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/log_parts.h"
#include "tpm/quote_check.h"
#include "verify/checkpoint.h"

namespace imasnap {

class EvidenceReader {
 public:
  // Opens the file at its beginning. Called again if a part must be read again.
  using OpenFile = std::function<Result<std::unique_ptr<ByteSource>>()>;

  // Reads all entries before the log. kCannotCheck with Cause::kNotEvidence if the file
  // does not follow the format. `name` is that of the file in errors.
  static Result<std::unique_ptr<EvidenceReader>> Open(OpenFile open, std::string name);
  EvidenceReader(const EvidenceReader&) = delete;
  EvidenceReader& operator=(const EvidenceReader&) = delete;
  ~EvidenceReader();

  const NamedBytes& quote() const { return quote_; }
  const NamedBytes& signature() const { return signature_; }
  const std::string& pcrs() const { return pcrs_; }
  const LogIdentity& identity() const { return identity_; }
  // The log, in order. The reader must outlive them. They are read fastest in order: a
  // part that comes before the one that was read last makes it open the file again.
  // The first one has no bytes (LogPart::discarded) if the log begins after it.
  const std::vector<LogPart>& parts() const { return parts_; }

  // kCannotCheck, with the attempt to ask for (Error::needs_after_attempt), if records
  // are missing between those that `from` (null: nothing) covers and the first part.
  Status CheckReaches(const Checkpoint* from) const;

 private:
  class Archive;
  class EntryFile;

  EvidenceReader(OpenFile open, std::string name);
  // Opens the file and reads all entries before the log.
  Status ReadHead();
  // The whole entry with this name, which must be next.
  Result<std::string> ReadText(const std::string& name, size_t limit);
  Status AddSegment(const std::string& entry, bool discarded);
  void AddPart(LogPart part, std::string entry);
  // Reads at `offset` of the part with this index.
  Result<size_t> ReadAt(size_t index, uint64_t offset, std::span<std::byte> out);
  // Goes to the part; `again`: to its beginning, even if it is the one being read.
  Status EnterPart(size_t index, bool again);

  const OpenFile open_;
  const std::string name_;
  std::unique_ptr<Archive> archive_;
  NamedBytes quote_;
  NamedBytes signature_;
  std::string pcrs_;
  LogIdentity identity_;
  bool at_machine_discarded_ = false;  // what comes before the first part
  std::vector<LogPart> parts_;
  std::vector<std::string> entries_;  // of the parts

  // The place in the archive.
  std::optional<size_t> part_;  // that is being read; nothing before the first
  Bytes beginning_;             // of the part, so that a look at it can be repeated
  uint64_t read_ = 0;           // bytes of the part
};

}  // namespace imasnap

#endif  // IMASNAP_EVIDENCE_EVIDENCE_READER_H_
