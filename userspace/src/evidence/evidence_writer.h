// SPDX-License-Identifier: GPL-2.0-or-later
//
// Writes a file of evidence (manifest.h).
#ifndef IMASNAP_EVIDENCE_EVIDENCE_WRITER_H_
#define IMASNAP_EVIDENCE_EVIDENCE_WRITER_H_

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/log_parts.h"
#include "store/log_writer.h"

namespace imasnap {

struct EvidenceParts {
  std::optional<SessionInfo> session;
  Bytes quote;      // TPMS_ATTEST
  Bytes signature;  // TPMT_SIGNATURE
  std::string pcrs;
  // The log from the part after which the verifier asked on. A segment in front that
  // was discarded, or that the verifier has, is only named. The sizes of the files must
  // not change.
  std::vector<LogPart> log;
};

// The parts of `log` that follow the segment which the aggregate of `attempt` closed (0:
// all), and that segment's. Segments that were discarded cannot be among them: then the
// rest follows the last of these. kUsage if no segment has the attempt.
Result<std::vector<LogPart>> PartsAfter(std::vector<LogPart> log, uint64_t attempt);

// kFailed if a segment has no metadata, or there are too many.
Status WriteEvidence(const EvidenceParts& parts, const ByteSink& sink);

}  // namespace imasnap

#endif  // IMASNAP_EVIDENCE_EVIDENCE_WRITER_H_
