// SPDX-License-Identifier: GPL-2.0-or-later
//
// A connection to a TPM 2.0: TCTI and ESYS contexts, and handles that free what they
// hold in the TPM. For the library's own files; others use tpm.h.
#ifndef IMASNAP_TPM_TPM_CONTEXT_H_
#define IMASNAP_TPM_TPM_CONTEXT_H_

#include <tss2/tss2_esys.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace imasnap {

// The kernel's resource manager.
inline constexpr const char* kResourceManager = "/dev/tpmrm0";

struct EsysFree {
  void operator()(void* memory) const { Esys_Free(memory); }
};
template <typename T>
using EsysPtr = std::unique_ptr<T, EsysFree>;

// kCannotCheck, with what tpm2-tss says about `rc`.
Error TpmError(const char* command, TSS2_RC rc);
// Whether the TPM itself answered `code` (a TPM2_RC of format one), whatever
// parameter, handle or session it blames.
bool IsTpmRc(TSS2_RC rc, TSS2_RC code);

class TpmContext {
 public:
  // As Tpm::Open().
  static Result<std::unique_ptr<TpmContext>> Open(const std::string& tcti);
  TpmContext(const TpmContext&) = delete;
  TpmContext& operator=(const TpmContext&) = delete;
  ~TpmContext();

  ESYS_CONTEXT* esys() const { return esys_; }

 private:
  TpmContext() = default;
  TSS2_RC OpenDevice(const std::string& path);

  // The device TCTI, which is the default, is initialized directly. The others are
  // loaded by name.
  std::vector<std::byte> device_memory_;
  TSS2_TCTI_CONTEXT* device_ = nullptr;
  TSS2_TCTI_CONTEXT* loaded_ = nullptr;
  ESYS_CONTEXT* esys_ = nullptr;
};

// A transient object, flushed at the end. `tpm` must outlive it.
class TransientObject {
 public:
  TransientObject(const TpmContext& tpm, ESYS_TR handle) : tpm_(&tpm), handle_(handle) {}
  TransientObject(TransientObject&& other) noexcept
      : tpm_(other.tpm_), handle_(std::exchange(other.handle_, ESYS_TR_NONE)) {}
  TransientObject& operator=(TransientObject&&) = delete;
  ~TransientObject() {
    if (handle_ != ESYS_TR_NONE) {
      // If it fails there is nothing left to do; a resource manager flushes too.
      static_cast<void>(Esys_FlushContext(tpm_->esys(), handle_));
    }
  }

  ESYS_TR handle() const { return handle_; }

 private:
  const TpmContext* tpm_;
  ESYS_TR handle_;
};

// A byte buffer of tpm2-tss (TPM2B_...) and back.
template <typename T>
ByteView ViewOf(const T& sized) {
  return std::as_bytes(std::span(sized.buffer, sized.size));
}
// `bytes` must fit.
template <typename T>
T SizedBuffer(ByteView bytes) {
  T sized{};
  sized.size = static_cast<UINT16>(bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    sized.buffer[i] = std::to_integer<BYTE>(bytes[i]);
  }
  return sized;
}

// The bytes that a Tss2_MU_..._Marshal function writes. The library's structures always
// fit into the buffer.
template <typename T, typename Marshal>
Result<Bytes> Marshalled(const T& value, Marshal marshal) {
  Bytes bytes(sizeof(T) + sizeof(UINT16));
  size_t end = 0;
  const TSS2_RC rc = marshal(&value, reinterpret_cast<uint8_t*>(bytes.data()), bytes.size(), &end);
  if (rc != TSS2_RC_SUCCESS) {
    return TpmError("marshalling", rc);
  }
  bytes.resize(end);
  return bytes;
}

}  // namespace imasnap

#endif  // IMASNAP_TPM_TPM_CONTEXT_H_
