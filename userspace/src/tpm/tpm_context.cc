// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm/tpm_context.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tcti_device.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#include <cerrno>

namespace imasnap {
namespace {

constexpr std::string_view kDevicePrefix = "device:";
// TPM 2.0 Part 2, 6.6.2: bits 0 to 5 of a format-one code are the error, bit 7
// is the format; the others name the parameter, handle or session.
constexpr TSS2_RC kFormatOneError = 0xbf;

// tpm2-tss only says that it failed.
Error NotOpened(const std::string& path, bool is_default, TSS2_RC rc) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT && is_default) {
    return MakeError(ErrorCode::kCannotCheck, Cause::kNoTpm,
                     fmt::format("this machine has no TPM 2.0: {} does not exist", path));
  }
  Error error = fd < 0 ? SystemError(path, "open", errno) : TpmError("opening", rc);
  error.code = ErrorCode::kCannotCheck;
  error.cause = Cause::kTpmNotOpened;
  error.file = path;
  if (fd >= 0) {
    ::close(fd);
  }
  return error;
}

}  // namespace

Error TpmError(const char* command, TSS2_RC rc) {
  return MakeError(ErrorCode::kCannotCheck,
                   fmt::format("TPM: {}: {} (0x{:x})", command, Tss2_RC_Decode(rc), rc));
}

bool IsTpmRc(TSS2_RC rc, TSS2_RC code) {
  const TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;
  return (layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER) &&
         (rc & kFormatOneError) == (code & kFormatOneError);
}

TpmContext::~TpmContext() {
  if (esys_ != nullptr) {
    Esys_Finalize(&esys_);
  }
  if (loaded_ != nullptr) {
    Tss2_TctiLdr_Finalize(&loaded_);
  }
  if (device_ != nullptr) {
    Tss2_Tcti_Finalize(device_);
  }
}

TSS2_RC TpmContext::OpenDevice(const std::string& path) {
  size_t size = 0;
  TSS2_RC rc = Tss2_Tcti_Device_Init(nullptr, &size, nullptr);
  if (rc != TSS2_RC_SUCCESS) {
    return rc;
  }
  device_memory_.resize(size);
  auto* context = reinterpret_cast<TSS2_TCTI_CONTEXT*>(device_memory_.data());
  rc = Tss2_Tcti_Device_Init(context, &size, path.c_str());
  if (rc == TSS2_RC_SUCCESS) {
    device_ = context;
  }
  return rc;
}

Result<std::unique_ptr<TpmContext>> TpmContext::Open(const std::string& tcti) {
  std::unique_ptr<TpmContext> context(new TpmContext());
  TSS2_TCTI_CONTEXT* transport = nullptr;
  if (tcti.empty() || tcti.starts_with(kDevicePrefix)) {
    const bool is_default = tcti.size() <= kDevicePrefix.size();
    const std::string path = is_default ? kResourceManager : tcti.substr(kDevicePrefix.size());
    const TSS2_RC rc = context->OpenDevice(path);
    if (rc != TSS2_RC_SUCCESS) {
      return NotOpened(path, is_default, rc);
    }
    transport = context->device_;
  } else {
    const TSS2_RC rc = Tss2_TctiLdr_Initialize(tcti.c_str(), &context->loaded_);
    if (rc != TSS2_RC_SUCCESS) {
      Error error = TpmError("opening", rc);
      error.cause = Cause::kTpmNotOpened;
      error.file = tcti;
      return error;
    }
    transport = context->loaded_;
  }
  const TSS2_RC rc = Esys_Initialize(&context->esys_, transport, nullptr);
  if (rc != TSS2_RC_SUCCESS) {
    return TpmError("Esys_Initialize", rc);
  }
  return context;
}

}  // namespace imasnap
