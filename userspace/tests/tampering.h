// SPDX-License-Identifier: GPL-2.0-or-later
//
// What may be done to a store.
#ifndef IMASNAP_TESTS_TAMPERING_H_
#define IMASNAP_TESTS_TAMPERING_H_

#include "world.h"

namespace imasnap::testing {

// Three segments and a list in the kernel.
void Fill(World* world);
void FlipByte(World* world, uint64_t segment, size_t offset);
// Removes both files of a segment.
void Drop(World* world, uint64_t segment);
// Exchanges the files of segments 2 and 3 with this suffix.
void Swap(World* world, const char* suffix);
// Replaces a segment's bytes, and its metadata so that it agrees.
void Forge(World* world, uint64_t number, const Bytes& bytes);
Bytes SegmentBytes(World* world, uint64_t number);

}  // namespace imasnap::testing

#endif  // IMASNAP_TESTS_TAMPERING_H_
