// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/text.h"

#include <gtest/gtest.h>

#include <limits>

namespace imasnap {
namespace {

TEST(TextTest, OneOfAKindIsSingular) {
  EXPECT_EQ(Counted(0, "record"), "0 records");
  EXPECT_EQ(Counted(1, "record"), "1 record");
  EXPECT_EQ(Counted(2, "record"), "2 records");
}

TEST(TextTest, SizesChangeTheirUnitAtAThousand) {
  EXPECT_EQ(SizeText(0), "0 bytes");
  EXPECT_EQ(SizeText(1), "1 byte");
  EXPECT_EQ(SizeText(999), "999 bytes");
  EXPECT_EQ(SizeText(1000), "1.0 kB");
  EXPECT_EQ(SizeText(999'949), "999.9 kB");
  EXPECT_EQ(SizeText(999'950), "1.0 MB");
  EXPECT_EQ(SizeText(2'183'456), "2.2 MB");
  EXPECT_EQ(SizeText(std::numeric_limits<uint64_t>::max()), "18.4 EB");
}

}  // namespace
}  // namespace imasnap
