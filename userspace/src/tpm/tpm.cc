// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm/tpm.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include "tpm/tpm_context.h"
#include "tpm/tpm_selection.h"

namespace imasnap {
namespace {

constexpr int kConsistentReads = 20;

bool IsEmpty(const TPML_PCR_SELECTION& selection) {
  return std::all_of(selection.pcrSelections, selection.pcrSelections + selection.count,
                     [](const TPMS_PCR_SELECTION& bank) {
                       return std::all_of(bank.pcrSelect, bank.pcrSelect + bank.sizeofSelect,
                                          [](BYTE b) { return b == 0; });
                     });
}

// Stores the digests of one answer and removes their PCRs from `wanted`.
Status Collect(const TPML_PCR_SELECTION& got, const TPML_DIGEST& digests,
               TPML_PCR_SELECTION* wanted, PcrValues* values) {
  UINT32 next = 0;
  for (const BankSelection& bank : FromTss(got)) {
    for (const uint32_t pcr : bank.pcrs) {
      if (next == digests.count) {
        return MakeError(ErrorCode::kCannotCheck,
                         "TPM: returned fewer digests than PCRs were selected");
      }
      const TPM2B_DIGEST& digest = digests.digests[next++];
      (*values)[bank.name()][pcr] = Digest::From(ViewOf(digest));
      for (UINT32 w = 0; w < wanted->count; ++w) {
        if (wanted->pcrSelections[w].hash == bank.tpm_alg) {
          wanted->pcrSelections[w].pcrSelect[pcr / 8] &= static_cast<BYTE>(~(1U << pcr % 8));
        }
      }
    }
  }
  if (next == 0) {
    return MakeError(ErrorCode::kCannotCheck, "TPM: a selected PCR does not exist");
  }
  return {};
}

// One round of reads. `consistent`: the update counter stayed the same.
Result<PcrValues> ReadOnce(const TpmContext& tpm, TPML_PCR_SELECTION wanted, bool* consistent) {
  PcrValues values;
  std::optional<UINT32> counter;
  *consistent = true;
  for (UINT32 i = 0; i < wanted.count; ++i) {
    values[BankNameOf(wanted.pcrSelections[i].hash)];
  }
  while (!IsEmpty(wanted)) {
    UINT32 now = 0;
    TPML_PCR_SELECTION* got_raw = nullptr;
    TPML_DIGEST* digests_raw = nullptr;
    const TSS2_RC rc = Esys_PCR_Read(tpm.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &wanted,
                                     &now, &got_raw, &digests_raw);
    const EsysPtr<TPML_PCR_SELECTION> got(got_raw);
    const EsysPtr<TPML_DIGEST> digests(digests_raw);
    if (rc != TSS2_RC_SUCCESS) {
      return TpmError("TPM2_PCR_Read", rc);
    }
    *consistent = *consistent && counter.value_or(now) == now;
    counter = now;
    IMASNAP_RETURN_IF_ERROR(Collect(*got, *digests, &wanted, &values));
  }
  return values;
}

}  // namespace

bool HasDefaultTpm() { return ::access(kResourceManager, F_OK) == 0; }

Tpm::Tpm(std::unique_ptr<TpmContext> context) : context_(std::move(context)) {}
Tpm::~Tpm() = default;

Result<std::unique_ptr<Tpm>> Tpm::Open(const std::string& tcti) {
  IMASNAP_ASSIGN(std::unique_ptr<TpmContext> context, TpmContext::Open(tcti));
  return std::unique_ptr<Tpm>(new Tpm(std::move(context)));
}

Result<PcrSelection> Tpm::Allocated() {
  TPMS_CAPABILITY_DATA* capability_raw = nullptr;
  TPMI_YES_NO more = TPM2_NO;
  const TSS2_RC rc = Esys_GetCapability(context_->esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                        TPM2_CAP_PCRS, 0, 1, &more, &capability_raw);
  const EsysPtr<TPMS_CAPABILITY_DATA> capability(capability_raw);
  if (rc != TSS2_RC_SUCCESS) {
    return TpmError("TPM2_GetCapability", rc);
  }
  PcrSelection allocated = FromTss(capability->data.assignedPCR);
  std::erase_if(allocated, [](const BankSelection& bank) { return bank.pcrs.empty(); });
  return allocated;
}

Result<PcrValues> Tpm::Read(const std::vector<uint32_t>& pcrs) {
  IMASNAP_ASSIGN(PcrSelection wanted, Allocated());
  for (BankSelection& bank : wanted) {
    std::erase_if(bank.pcrs,
                  [&pcrs](uint32_t pcr) { return std::ranges::find(pcrs, pcr) == pcrs.end(); });
  }
  for (int i = 0; i < kConsistentReads; ++i) {
    bool consistent = false;
    auto values = ReadOnce(*context_, ToTss(wanted), &consistent);
    if (!values.ok() || consistent) {
      return values;
    }
  }
  return MakeError(ErrorCode::kCannotCheck,
                   "TPM: PCRs are extended too often to read all of them at one moment");
}

Result<uint32_t> Tpm::ResetCount() {
  TPMS_TIME_INFO* time_raw = nullptr;
  const TSS2_RC rc =
      Esys_ReadClock(context_->esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &time_raw);
  const EsysPtr<TPMS_TIME_INFO> time(time_raw);
  if (rc != TSS2_RC_SUCCESS) {
    return TpmError("TPM2_ReadClock", rc);
  }
  return time->clockInfo.resetCount;
}

}  // namespace imasnap
