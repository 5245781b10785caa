// SPDX-License-Identifier: GPL-2.0-or-later
//
// Keeps the view of the whole log mounted on the directory that the configuration
// names.
#ifndef IMASNAP_DAEMON_VIEW_KEEPER_H_
#define IMASNAP_DAEMON_VIEW_KEEPER_H_

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "daemon/backoff.h"
#include "daemon/journal.h"
#include "store/environment.h"

namespace imasnap::daemon {

// A mounted view. Its own threads serve it until it is destroyed.
class ServedView {
 public:
  virtual ~ServedView() = default;
  virtual bool alive() const = 0;
};

// Called from any thread.
using WarningSink = std::function<void(const Error&)>;

using Mounter = std::function<Result<std::unique_ptr<ServedView>>(
    const Environment& env, const std::string& directory, const WarningSink& warn)>;

class ViewKeeper {
 public:
  ViewKeeper(Mounter mount, Journal* journal) : mount_(std::move(mount)), journal_(journal) {}

  // Mounts the view that `env` names, and mounts it again if that changed or the view
  // died. A failure is logged once, and mounting is tried again later.
  void Keep(const Environment& env, Time now);

 private:
  void Fail(const Error& why, Time now);

  const Mounter mount_;
  Journal* const journal_;
  std::unique_ptr<ServedView> view_;
  Config config_;  // of the view that is mounted or failed to be
  Backoff backoff_;
  Time not_before_{};
  std::string failure_;  // the last one, as text
};

}  // namespace imasnap::daemon

#endif  // IMASNAP_DAEMON_VIEW_KEEPER_H_
