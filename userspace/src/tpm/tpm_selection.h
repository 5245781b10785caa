// SPDX-License-Identifier: GPL-2.0-or-later
//
// PcrSelection and TPML_PCR_SELECTION. For the library's own files.
#ifndef IMASNAP_TPM_TPM_SELECTION_H_
#define IMASNAP_TPM_TPM_SELECTION_H_

#include <tss2/tss2_tpm2_types.h>

#include "tpm/pcr_selection.h"

namespace imasnap {

PcrSelection FromTss(const TPML_PCR_SELECTION& selection);
// PCRs 0 to 23 of at most TPM2_NUM_PCR_BANKS banks.
TPML_PCR_SELECTION ToTss(const PcrSelection& selection);

}  // namespace imasnap

#endif  // IMASNAP_TPM_TPM_SELECTION_H_
