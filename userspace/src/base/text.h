// SPDX-License-Identifier: GPL-2.0-or-later
//
// Numbers as people read them. JSON has the exact ones.
#ifndef IMASNAP_BASE_TEXT_H_
#define IMASNAP_BASE_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace imasnap {

// "1 record", "2 records": `noun` takes an s in the plural.
std::string Counted(uint64_t count, std::string_view noun);

// "999 bytes", "2.2 MB": decimal units, one digit after the point.
std::string SizeText(uint64_t bytes);

}  // namespace imasnap

#endif  // IMASNAP_BASE_TEXT_H_
