// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef IMASNAP_TSS2_LOG_H_
#define IMASNAP_TSS2_LOG_H_

namespace imasnap {

// Keeps tpm2-tss from printing what it also returns as an error, unless the user
// has set TSS2_LOG. Call it before tpm2-tss is used and before threads are started:
// it changes the environment.
void KeepTss2Quiet();

}  // namespace imasnap

#endif  // IMASNAP_TSS2_LOG_H_
