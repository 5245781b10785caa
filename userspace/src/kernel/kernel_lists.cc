// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kernel_lists.h"

namespace imasnap {

Result<KernelLists> KernelLists::Open(const KernelFiles& kernel) {
  KernelLists lists(kernel);
  IMASNAP_RETURN_IF_ERROR(lists.Reopen());
  return lists;
}

void KernelLists::Close() {
  staged_.reset();
  live_.reset();
  spooled_ = false;
  read_ = true;
}

Status KernelLists::Reopen() {
  Close();
  IMASNAP_ASSIGN(staged_, kernel_.OpenStaged());
  IMASNAP_ASSIGN(live_, kernel_.OpenLive());
  read_ = false;
  return {};
}

Status KernelLists::Spool() {
  bool again = false;
  return ReadAgainIfCut([&]() -> Status {
    if (again) {
      IMASNAP_RETURN_IF_ERROR(Reopen());
    }
    again = true;
    if (staged_) {
      IMASNAP_ASSIGN(staged_, imasnap::Spool(kernel_.fs(), *staged_));
    }
    IMASNAP_ASSIGN(live_, imasnap::Spool(kernel_.fs(), *live_));
    spooled_ = true;
    return {};
  });
}

Status KernelLists::Rewind() {
  if (spooled_) {
    if (staged_) {
      IMASNAP_RETURN_IF_ERROR(staged_->Rewind());
    }
    IMASNAP_RETURN_IF_ERROR(live_->Rewind());
  } else if (read_) {
    IMASNAP_RETURN_IF_ERROR(Reopen());
  }
  read_ = true;
  return {};
}

Result<std::unique_ptr<File>> KernelLists::TakeStaged() {
  if (!staged_) {
    return std::unique_ptr<File>();
  }
  IMASNAP_ASSIGN(const FileInfo info, staged_->Stat());
  if (info.size == 0) {
    return std::unique_ptr<File>();
  }
  IMASNAP_RETURN_IF_ERROR(staged_->Rewind());
  return std::move(staged_);
}

Result<std::unique_ptr<File>> KernelLists::TakeLive() {
  if (spooled_) {
    IMASNAP_RETURN_IF_ERROR(live_->Rewind());
  } else if (read_) {
    IMASNAP_RETURN_IF_ERROR(Reopen());
  }
  return std::move(live_);
}

}  // namespace imasnap
