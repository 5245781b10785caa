// SPDX-License-Identifier: GPL-2.0-or-later
//
// Detects replayed quotes by what the state has of the last one.
#ifndef IMASNAP_VERIFY_SEEN_QUOTES_H_
#define IMASNAP_VERIFY_SEEN_QUOTES_H_

#include <string>

#include "base/result.h"
#include "verify/checkpoint.h"

namespace imasnap {

// The quote that is checked, and the names of it and the state in errors.
struct QuoteToCheck {
  std::string ak;  // the key's name
  QuoteSeen said;
  std::string file;
  std::string state_file;
  // The reset count has no meaning: it is hidden from this key, or was cleared.
  bool ignore_reset_count = false;
};

// kMismatch if the quote was made before the last one of its key that the state has, in
// an earlier boot or in the same one. The same quote again is accepted, so that a
// verification can be repeated. If it is of a later boot, the state is too old
// (StateRefused()).
Status CheckNotReplayed(const Checkpoint& state, const QuoteToCheck& quote);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_SEEN_QUOTES_H_
