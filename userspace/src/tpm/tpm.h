// SPDX-License-Identifier: GPL-2.0-or-later
//
// A TPM 2.0, through tpm2-tss.
#ifndef IMASNAP_TPM_TPM_H_
#define IMASNAP_TPM_TPM_H_

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "tpm/pcr_selection.h"
#include "tpm/pcr_values.h"

namespace imasnap {

class TpmContext;

// Whether this machine has the device file of a TPM.
bool HasDefaultTpm();

class Tpm : public PcrReader {
 public:
  // `tcti` as in tpm2-tools ("device:/dev/tpmrm0", "swtpm:port=2321"); empty:
  // the kernel's resource manager. Errors are kCannotCheck.
  static Result<std::unique_ptr<Tpm>> Open(const std::string& tcti);
  ~Tpm() override;

  // TPM2_PCR_Read of all allocated banks; read again until no PCR was extended
  // between the commands (pcrUpdateCounter, TPM 2.0 Part 3).
  Result<PcrValues> Read(const std::vector<uint32_t>& pcrs) override;

  // The PCRs of the active banks.
  Result<PcrSelection> Allocated();

  // TPMS_CLOCK_INFO.resetCount of TPM2_ReadClock: rises at every TPM Reset,
  // that is at a cold boot, unless TPM2_Shutdown(STATE) came before (TPM Restart),
  // and at no kexec.
  Result<uint32_t> ResetCount();

  // For other files of the library that use the TPM.
  const TpmContext& context() const { return *context_; }

 private:
  explicit Tpm(std::unique_ptr<TpmContext> context);
  std::unique_ptr<TpmContext> context_;
};

}  // namespace imasnap

#endif  // IMASNAP_TPM_TPM_H_
