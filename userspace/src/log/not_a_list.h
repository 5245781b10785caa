// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a file looks like that is not the measurement list it should be.
#ifndef IMASNAP_LOG_NOT_A_LIST_H_
#define IMASNAP_LOG_NOT_A_LIST_H_

#include <optional>
#include <string>

#include "base/bytes.h"

namespace imasnap {

// A clause for an error, such as "it looks like a gzip file", from the first bytes of
// the file. Nothing if they look like none of the known kinds.
std::optional<std::string> LooksLike(ByteView head);

}  // namespace imasnap

#endif  // IMASNAP_LOG_NOT_A_LIST_H_
