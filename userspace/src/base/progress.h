// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef IMASNAP_BASE_PROGRESS_H_
#define IMASNAP_BASE_PROGRESS_H_

#include <cstdint>
#include <functional>

namespace imasnap {

// Called repeatedly during long work, with the number of records done so far. Work that
// can be cancelled stops if it returns false. May be empty.
using Progress = std::function<bool(uint64_t records)>;

}  // namespace imasnap

#endif  // IMASNAP_BASE_PROGRESS_H_
