// SPDX-License-Identifier: GPL-2.0-or-later
//
// The functions of tpm2-tss that the library calls, loaded when they are first
// needed. For the library's own files; others use tpm.h.
#ifndef IMASNAP_TSS2_FUNCTIONS_H_
#define IMASNAP_TSS2_FUNCTIONS_H_

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tcti_device.h>
#include <tss2/tss2_tctildr.h>

#include "loaded_library.h"

#define IMASNAP_TSS2_ESYS(function)                                                \
  function(Esys_Create) function(Esys_CreatePrimary) function(Esys_Finalize)       \
      function(Esys_FlushContext) function(Esys_Free) function(Esys_GetCapability) \
          function(Esys_Initialize) function(Esys_Load) function(Esys_PCR_Read)    \
              function(Esys_Quote) function(Esys_ReadClock)

#define IMASNAP_TSS2_MU(function)                                                         \
  function(Tss2_MU_TPM2B_PRIVATE_Marshal) function(Tss2_MU_TPM2B_PRIVATE_Unmarshal)       \
      function(Tss2_MU_TPM2B_PUBLIC_Marshal) function(Tss2_MU_TPM2B_PUBLIC_Unmarshal)     \
          function(Tss2_MU_TPMS_ATTEST_Unmarshal) function(Tss2_MU_TPMT_PUBLIC_Unmarshal) \
              function(Tss2_MU_TPMT_SIGNATURE_Marshal) function(Tss2_MU_TPMT_SIGNATURE_Unmarshal)

#define IMASNAP_TSS2_TCTILDR(function) \
  function(Tss2_TctiLdr_Finalize) function(Tss2_TctiLdr_Initialize)

#define IMASNAP_TSS2_DEVICE(function) function(Tss2_Tcti_Device_Init)

#define IMASNAP_TSS2_RC(function) function(Tss2_RC_Decode)

namespace imasnap {

IMASNAP_TSS2_ESYS(IMASNAP_DECLARE_LOADED)
IMASNAP_TSS2_MU(IMASNAP_DECLARE_LOADED)
IMASNAP_TSS2_TCTILDR(IMASNAP_DECLARE_LOADED)
IMASNAP_TSS2_DEVICE(IMASNAP_DECLARE_LOADED)
IMASNAP_TSS2_RC(IMASNAP_DECLARE_LOADED)

// Parsing what a TPM made: must have succeeded before Tss2_MU_... is called.
Status LoadTss2Marshalling();
// All, once; as LoadLibrary().
Status LoadTss2();

}  // namespace imasnap

#endif  // IMASNAP_TSS2_FUNCTIONS_H_
