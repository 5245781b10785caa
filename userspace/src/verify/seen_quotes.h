// SPDX-License-Identifier: GPL-2.0-or-later
//
// Replayed quotes, told by what a verifier remembers of the last one.
#ifndef IMASNAP_VERIFY_SEEN_QUOTES_H_
#define IMASNAP_VERIFY_SEEN_QUOTES_H_

#include <string>

#include "base/result.h"
#include "verify/checkpoint.h"

namespace imasnap {

// The quote that is checked, and by which names errors call it and the state.
struct QuoteToCheck {
  std::string ak;  // the key's name
  QuoteSeen said;
  std::string file;
  std::string state_file;
  // Its reset count says nothing: hidden from this key, or cleared.
  bool ignore_reset_count = false;
};

// kMismatch when the quote was made before the last one of its key that the state
// knows: in an earlier boot, or in the same one. The same one again is good: whoever
// verifies twice has not been fooled. When it is of a later boot the state is of an
// earlier one (StateRefused()).
Status CheckNotReplayed(const Checkpoint& state, const QuoteToCheck& quote);

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_SEEN_QUOTES_H_
