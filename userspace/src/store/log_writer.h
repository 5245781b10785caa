// SPDX-License-Identifier: GPL-2.0-or-later
//
// Writes the whole log in the kernel's formats.
#ifndef IMASNAP_STORE_LOG_WRITER_H_
#define IMASNAP_STORE_LOG_WRITER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/progress.h"
#include "base/result.h"
#include "store/log_parts.h"

namespace imasnap {

struct CatOptions {
  bool ascii = false;
  HashAlg header_alg = HashAlg::kSha1;  // of the template digest written
  std::vector<HashAlg> cel{};           // not empty: write CEL (cel.h) with these digests
  uint64_t from = 1;                    // first record written, since cold boot
  uint64_t count = UINT64_MAX;          // at most so many are written
  Progress progress{};                  // called with the records read
};

using ByteSink = std::function<Status(ByteView)>;

// The number, since cold boot, of the first record with this template digest. kUsage if
// no record has it. Discarded records are not searched.
Result<uint64_t> FindDigest(const std::vector<LogPart>& parts, HashAlg alg, const Digest& digest);

// Writes the log of `parts` to `sink`, in the format of
// (ascii|binary)_runtime_measurements_<alg>. Fails before it writes anything if a part
// is missing or was discarded, or if the beginning of the log is missing and `from` is
// 1. Returns the number of records written.
Result<uint64_t> WriteLog(const std::vector<LogPart>& parts, const CatOptions& options,
                          const ByteSink& sink);

}  // namespace imasnap

#endif  // IMASNAP_STORE_LOG_WRITER_H_
