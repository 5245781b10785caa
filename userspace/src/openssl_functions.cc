// SPDX-License-Identifier: GPL-2.0-or-later
#include "openssl_functions.h"

namespace imasnap {

IMASNAP_OPENSSL(IMASNAP_DEFINE_LOADED)

Status LoadOpenSsl() {
  static const Status loaded = LoadLibrary("libcrypto.so.3", {IMASNAP_OPENSSL(IMASNAP_LOADED)});
  return loaded;
}

}  // namespace imasnap
