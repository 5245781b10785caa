// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/aggregate.h"

#include "targets.h"

namespace imasnap::fuzz {

Status Aggregate(ByteView input) {
  const auto aggregate = ParseAggregate(input);
  if (!aggregate.ok()) {
    const auto& offset = aggregate.error().offset;
    return Require(offset && *offset <= input.size(), "an error says where");
  }
  return Require(FormatAggregate(*aggregate) == AsText(input),
                 "an aggregate that is accepted is written back byte for byte");
}

}  // namespace imasnap::fuzz
