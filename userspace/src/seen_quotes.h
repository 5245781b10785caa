// SPDX-License-Identifier: GPL-2.0-or-later
//
// Replayed quotes, told by what a verifier remembers of the last one.
#ifndef IMASNAP_SEEN_QUOTES_H_
#define IMASNAP_SEEN_QUOTES_H_

#include <string>

#include "checkpoint.h"
#include "result.h"

namespace imasnap {

// kMismatch when `quote` of the key `ak` was made in another boot than the last
// one that the state knows of that key, or before it. The same one again is
// good: whoever verifies twice has not been fooled. `file` is the name that the
// error gives.
Status CheckNotReplayed(const Checkpoint& state, const std::string& ak, const QuoteSeen& quote,
                        const std::string& file);

}  // namespace imasnap

#endif  // IMASNAP_SEEN_QUOTES_H_
