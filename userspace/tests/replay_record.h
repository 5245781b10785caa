// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef IMASNAP_TESTS_REPLAY_RECORD_H_
#define IMASNAP_TESTS_REPLAY_RECORD_H_

#include <vector>

#include "log/record_format.h"
#include "log/replay.h"

namespace imasnap::testing {

// Adds a record with the digests that it should have.
inline Status ReplayRecord(Replay* replay, const Record& record,
                           HashAlg header_alg = HashAlg::kSha1) {
  std::vector<Digest> digests;
  for (const HashAlg alg : replay->DigestAlgs(header_alg)) {
    Hasher hasher(alg);
    digests.push_back(TemplateDigest(record, &hasher));
  }
  return replay->Add(record, header_alg, digests);
}

}  // namespace imasnap::testing

#endif  // IMASNAP_TESTS_REPLAY_RECORD_H_
