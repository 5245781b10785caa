// SPDX-License-Identifier: GPL-2.0-or-later
#include "tss2_functions.h"

#include <cstdlib>

namespace imasnap {

IMASNAP_TSS2_ESYS(IMASNAP_DEFINE_LOADED)
IMASNAP_TSS2_MU(IMASNAP_DEFINE_LOADED)
IMASNAP_TSS2_TCTILDR(IMASNAP_DEFINE_LOADED)
IMASNAP_TSS2_DEVICE(IMASNAP_DEFINE_LOADED)
IMASNAP_TSS2_RC(IMASNAP_DEFINE_LOADED)

namespace {

Status LoadQuietly() {
  // Failures are returned; the libraries would print them too. Each reads this when
  // it first has something to say, and not again.
  ::setenv("TSS2_LOG", "all+none", /*overwrite=*/0);
  return LoadLibrary("libtss2-mu.so.0", {IMASNAP_TSS2_MU(IMASNAP_LOADED)});
}

Status LoadForTpm() {
  IMASNAP_RETURN_IF_ERROR(LoadTss2Marshalling());
  IMASNAP_RETURN_IF_ERROR(LoadLibrary("libtss2-rc.so.0", {IMASNAP_TSS2_RC(IMASNAP_LOADED)}));
  IMASNAP_RETURN_IF_ERROR(
      LoadLibrary("libtss2-tctildr.so.0", {IMASNAP_TSS2_TCTILDR(IMASNAP_LOADED)}));
  IMASNAP_RETURN_IF_ERROR(
      LoadLibrary("libtss2-tcti-device.so.0", {IMASNAP_TSS2_DEVICE(IMASNAP_LOADED)}));
  return LoadLibrary("libtss2-esys.so.0", {IMASNAP_TSS2_ESYS(IMASNAP_LOADED)});
}

}  // namespace

Status LoadTss2Marshalling() {
  static const Status loaded = LoadQuietly();
  return loaded;
}

Status LoadTss2() {
  static const Status loaded = LoadForTpm();
  return loaded;
}

}  // namespace imasnap
