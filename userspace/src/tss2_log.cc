// SPDX-License-Identifier: GPL-2.0-or-later
#include "tss2_log.h"

#include <cstdlib>

namespace imasnap {

void KeepTss2Quiet() { ::setenv("TSS2_LOG", "all+none", /*overwrite=*/0); }

}  // namespace imasnap
