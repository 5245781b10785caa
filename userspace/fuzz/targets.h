// SPDX-License-Identifier: GPL-2.0-or-later
//
// What is fuzzed: a function for each parser of bytes that others can choose.
// libFuzzer runs each in a program of its own (fuzz_<name>), and the unit tests
// run all of them over corpus/<name>/.
#ifndef IMASNAP_FUZZ_TARGETS_H_
#define IMASNAP_FUZZ_TARGETS_H_

#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace imasnap::fuzz {

// Parses `input` and checks what must hold whatever it is; an error names the
// property that did not.
using Target = Status (*)(ByteView input);

// One byte that says how to read (see log.cc), then a measurement list.
Status Log(ByteView input);
Status Aggregate(ByteView input);
// A file of evidence.
Status Evidence(ByteView input);
// The configuration; after a NUL a drop-in.
Status Config(ByteView input);
// session.json or <segment>.json.
Status Metadata(ByteView input);
Status PcrText(ByteView input);
// One byte that says which, then a TPMS_ATTEST, a TPMT_SIGNATURE or a key.
Status Quote(ByteView input);
// The first line of a verifier's state file.
Status State(ByteView input);

struct NamedTarget {
  const char* name;
  Target run;
};
std::span<const NamedTarget> Targets();

// An error that says `property` unless `holds`.
Status Require(bool holds, const char* property);

}  // namespace imasnap::fuzz

#endif  // IMASNAP_FUZZ_TARGETS_H_
