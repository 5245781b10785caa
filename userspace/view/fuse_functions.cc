// SPDX-License-Identifier: GPL-2.0-or-later
#include "fuse_functions.h"

namespace imasnap {

IMASNAP_FUSE(IMASNAP_DEFINE_LOADED)

Status LoadFuse() {
  static const Status loaded = LoadLibrary("libfuse3.so.3", {IMASNAP_FUSE(IMASNAP_LOADED)});
  return loaded;
}

}  // namespace imasnap
