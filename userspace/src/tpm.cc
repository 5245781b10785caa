// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm.h"

#include <fmt/format.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tcti_device.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#include <algorithm>

#include "replay.h"

namespace imasnap {
namespace {

constexpr const char* kResourceManager = "/dev/tpmrm0";
constexpr std::string_view kDevicePrefix = "device:";
constexpr int kConsistentReads = 20;

struct EsysFree {
  void operator()(void* memory) const { Esys_Free(memory); }
};
template <typename T>
using EsysPtr = std::unique_ptr<T, EsysFree>;

Error TpmError(const char* command, TSS2_RC rc) {
  return MakeError(ErrorCode::kCannotCheck,
                   fmt::format("TPM: {}: {} (0x{:x})", command, Tss2_RC_Decode(rc), rc));
}

std::string BankName(uint16_t id) {
  const auto alg = HashFromTpmAlgId(id);
  // Banks that the kernel does not map keep their TPM id in its names.
  const bool mapped = alg && *alg <= HashAlg::kSm3;
  return mapped ? std::string(HashName(*alg)) : fmt::format("tpm_alg_{:x}", id);
}

bool IsEmpty(const TPMS_PCR_SELECTION& selection) {
  return std::all_of(selection.pcrSelect, selection.pcrSelect + selection.sizeofSelect,
                     [](BYTE b) { return b == 0; });
}

bool IsEmpty(const TPML_PCR_SELECTION& selection) {
  return std::all_of(selection.pcrSelections, selection.pcrSelections + selection.count,
                     [](const TPMS_PCR_SELECTION& s) { return IsEmpty(s); });
}

}  // namespace

struct Tpm::Impl {
  // The device TCTI is linked, so that it is there wherever the program is; the
  // others are loaded by name.
  std::vector<std::byte> device_memory;
  TSS2_TCTI_CONTEXT* device = nullptr;
  TSS2_TCTI_CONTEXT* loaded = nullptr;
  ESYS_CONTEXT* esys = nullptr;

  ~Impl() {
    if (esys != nullptr) {
      Esys_Finalize(&esys);
    }
    if (loaded != nullptr) {
      Tss2_TctiLdr_Finalize(&loaded);
    }
    if (device != nullptr) {
      Tss2_Tcti_Finalize(device);
    }
  }

  TSS2_RC OpenDevice(const std::string& path) {
    size_t size = 0;
    TSS2_RC rc = Tss2_Tcti_Device_Init(nullptr, &size, nullptr);
    if (rc != TSS2_RC_SUCCESS) {
      return rc;
    }
    device_memory.resize(size);
    auto* context = reinterpret_cast<TSS2_TCTI_CONTEXT*>(device_memory.data());
    rc = Tss2_Tcti_Device_Init(context, &size, path.c_str());
    if (rc == TSS2_RC_SUCCESS) {
      device = context;
    }
    return rc;
  }

  // One round of reads. `counter` gets the update counter if it stayed the same.
  Result<PcrValues> ReadOnce(TPML_PCR_SELECTION wanted, bool* consistent) {
    PcrValues values;
    std::optional<UINT32> counter;
    *consistent = true;
    for (UINT32 i = 0; i < wanted.count; ++i) {
      values[BankName(wanted.pcrSelections[i].hash)];
    }
    while (!IsEmpty(wanted)) {
      UINT32 now = 0;
      TPML_PCR_SELECTION* got_raw = nullptr;
      TPML_DIGEST* digests_raw = nullptr;
      const TSS2_RC rc = Esys_PCR_Read(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &wanted,
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

  // Files the digests of one answer and takes them out of `wanted`.
  static Status Collect(const TPML_PCR_SELECTION& got, const TPML_DIGEST& digests,
                        TPML_PCR_SELECTION* wanted, PcrValues* values) {
    UINT32 next = 0;
    for (UINT32 i = 0; i < got.count; ++i) {
      const TPMS_PCR_SELECTION& bank = got.pcrSelections[i];
      for (uint32_t pcr = 0; pcr < 8U * bank.sizeofSelect; ++pcr) {
        if ((bank.pcrSelect[pcr / 8] >> pcr % 8 & 1) == 0) {
          continue;
        }
        if (next == digests.count) {
          return MakeError(ErrorCode::kCannotCheck, "TPM: fewer digests than PCRs selected");
        }
        const TPM2B_DIGEST& digest = digests.digests[next++];
        (*values)[BankName(bank.hash)][pcr] =
            Digest::From(std::as_bytes(std::span(digest.buffer, digest.size)));
        for (UINT32 w = 0; w < wanted->count; ++w) {
          if (wanted->pcrSelections[w].hash == bank.hash) {
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
};

bool HasDefaultTpm() { return ::access(kResourceManager, F_OK) == 0; }

Tpm::Tpm(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tpm::~Tpm() = default;

Result<std::unique_ptr<Tpm>> Tpm::Open(const std::string& tcti) {
  // Failures are returned; the libraries would print them too.
  ::setenv("TSS2_LOG", "all+none", /*overwrite=*/0);
  auto impl = std::make_unique<Impl>();
  TSS2_TCTI_CONTEXT* context = nullptr;
  if (tcti.empty() || tcti.starts_with(kDevicePrefix)) {
    const std::string path = tcti.empty() ? kResourceManager : tcti.substr(kDevicePrefix.size());
    const TSS2_RC rc = impl->OpenDevice(path);
    if (rc != TSS2_RC_SUCCESS) {
      Error error = TpmError("opening", rc);
      error.file = path;
      return error;
    }
    context = impl->device;
  } else {
    const TSS2_RC rc = Tss2_TctiLdr_Initialize(tcti.c_str(), &impl->loaded);
    if (rc != TSS2_RC_SUCCESS) {
      Error error = TpmError("opening", rc);
      error.file = tcti;
      return error;
    }
    context = impl->loaded;
  }
  const TSS2_RC rc = Esys_Initialize(&impl->esys, context, nullptr);
  if (rc != TSS2_RC_SUCCESS) {
    return TpmError("Esys_Initialize", rc);
  }
  return std::unique_ptr<Tpm>(new Tpm(std::move(impl)));
}

Result<PcrValues> Tpm::Read(const std::vector<uint32_t>& pcrs) {
  TPMS_CAPABILITY_DATA* capability_raw = nullptr;
  TPMI_YES_NO more = TPM2_NO;
  const TSS2_RC rc = Esys_GetCapability(impl_->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                        TPM2_CAP_PCRS, 0, 1, &more, &capability_raw);
  const EsysPtr<TPMS_CAPABILITY_DATA> capability(capability_raw);
  if (rc != TSS2_RC_SUCCESS) {
    return TpmError("TPM2_GetCapability", rc);
  }
  const TPML_PCR_SELECTION& allocated = capability->data.assignedPCR;
  TPML_PCR_SELECTION wanted{};
  for (UINT32 i = 0; i < allocated.count; ++i) {
    const TPMS_PCR_SELECTION& bank = allocated.pcrSelections[i];
    if (IsEmpty(bank)) {
      continue;  // a bank that is not active
    }
    TPMS_PCR_SELECTION& out = wanted.pcrSelections[wanted.count++];
    out.hash = bank.hash;
    out.sizeofSelect = bank.sizeofSelect;
    for (uint32_t pcr : pcrs) {
      if (pcr < 8U * bank.sizeofSelect) {
        out.pcrSelect[pcr / 8] |= static_cast<BYTE>(bank.pcrSelect[pcr / 8] & (1U << pcr % 8));
      }
    }
  }
  for (int i = 0; i < kConsistentReads; ++i) {
    bool consistent = false;
    auto values = impl_->ReadOnce(wanted, &consistent);
    if (!values.ok() || consistent) {
      return values;
    }
  }
  return MakeError(ErrorCode::kCannotCheck,
                   "TPM: PCRs are extended too often to read them all at one moment");
}

Result<uint32_t> Tpm::ResetCount() {
  TPMS_TIME_INFO* time_raw = nullptr;
  const TSS2_RC rc =
      Esys_ReadClock(impl_->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &time_raw);
  const EsysPtr<TPMS_TIME_INFO> time(time_raw);
  if (rc != TSS2_RC_SUCCESS) {
    return TpmError("TPM2_ReadClock", rc);
  }
  return time->clockInfo.resetCount;
}

}  // namespace imasnap
