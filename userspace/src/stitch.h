// SPDX-License-Identifier: GPL-2.0-or-later
//
// The parts of the stitched log, and writing it out in the kernel's formats.
#ifndef IMASNAP_STITCH_H_
#define IMASNAP_STITCH_H_

#include <functional>
#include <vector>

#include "digest_pipeline.h"
#include "hash.h"
#include "result.h"
#include "session.h"
#include "verify.h"

namespace imasnap {

// The segments of `view`, what was staged (with number 0), and the kernel's list
// as parts of one log. Segments that should be there and are not become parts
// that are missing.
std::vector<LogPart> PartsOf(const Environment& env, const LogView& view);

// The files of `parts`, which must outlive what is returned, from the index `first` on.
std::vector<DigestPipeline::Input> InputsOf(const std::vector<LogPart>& parts, size_t first);

// For whoever needs the log from record `from` on: kCannotCheck when a part with
// such records was discarded. Names the segments, and says why.
Status CheckNotDiscarded(const std::vector<LogPart>& parts, uint64_t from = 1);
// The same, and kMismatch when a part is missing.
Status CheckComplete(const std::vector<LogPart>& parts, uint64_t from = 1);

// kMismatch unless `first`, of the file `name`, is what a boot's log begins with.
Status CheckBeginning(const Record& first, const std::string& name);

struct CatOptions {
  bool ascii = false;
  HashAlg header_alg = HashAlg::kSha1;  // of the template digest written
  uint64_t from = 1;                    // first record written, since cold boot
  Progress progress{};                  // called with the records read
};

using ByteSink = std::function<Status(ByteView)>;

// Writes the log of `parts` to `sink`, in the format of
// (ascii|binary)_runtime_measurements_<alg>. Fails before it writes anything
// when a part is missing or was discarded, or, to be written from record 1 on, when the
// log's beginning is not there. Returns the records written.
Result<uint64_t> WriteLog(const std::vector<LogPart>& parts, const CatOptions& options,
                          const ByteSink& sink);

// Copies what is left of `from` to a file without a name, at its beginning.
Result<std::unique_ptr<File>> Spool(FileSystem& fs, ByteSource& from);

}  // namespace imasnap

#endif  // IMASNAP_STITCH_H_
