// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/view_keeper.h"

#include <fmt/format.h>
#include <syslog.h>

namespace imasnap::daemon {
namespace {

bool SameView(const Config& a, const Config& b) {
  return a.mount == b.mount && a.store == b.store && a.lock_file == b.lock_file;
}

}  // namespace

void ViewKeeper::Keep(const Environment& env, Time now) {
  if (!SameView(config_, env.config)) {
    view_.reset();
    config_ = env.config;
    backoff_.Reset();
    not_before_ = now;
    failure_.clear();
  }
  if (view_ && !view_->alive()) {
    view_.reset();
    Fail("the view is no longer served", now);
  }
  if (view_ || config_.mount.empty() || now < not_before_) {
    return;
  }
  auto mounted = mount_(env, config_.mount,
                        [log = log_](const std::string& text) { log->Write(LOG_WARNING, text); });
  if (!mounted.ok()) {
    Fail(mounted.error().ToString(), now);
    return;
  }
  view_ = std::move(*mounted);
  backoff_.Reset();
  failure_.clear();
  log_->Write(LOG_NOTICE, fmt::format("{}: serving the view of the whole log", config_.mount));
}

void ViewKeeper::Fail(const std::string& why, Time now) {
  const Time wait = backoff_.Failed();
  not_before_ = now + wait;
  log_->Write(why == failure_ ? LOG_DEBUG : LOG_ERR,
              fmt::format("no view at {}: {}; again in {} s", config_.mount, why,
                          std::chrono::duration_cast<std::chrono::seconds>(wait).count()));
  failure_ = why;
}

}  // namespace imasnap::daemon
