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
    Fail(FileError(ErrorCode::kFailed, Cause::kViewLost, config_.mount,
                   "the view is no longer served"),
         now);
  }
  if (view_ || config_.mount.empty() || now < not_before_) {
    return;
  }
  auto mounted = mount_(env, config_.mount, [journal = journal_](const Error& error) {
    journal->Write(LOG_WARNING, error.ToString(),
                   {{"IMA_EVENT", "view_warning"}, {"IMA_CAUSE", CauseName(error.cause)}});
  });
  if (!mounted.ok()) {
    Fail(mounted.error(), now);
    return;
  }
  view_ = std::move(*mounted);
  backoff_.Reset();
  failure_.clear();
  journal_->Write(LOG_NOTICE, fmt::format("{}: serving the view of the whole log", config_.mount),
                  {{"IMA_EVENT", "view_served"}});
}

void ViewKeeper::Fail(const Error& why, Time now) {
  const Time wait = backoff_.Failed();
  not_before_ = now + wait;
  const std::string text = why.ToString();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait).count();
  journal_->Write(
      text == failure_ ? LOG_DEBUG : LOG_ERR,
      fmt::format("no view at {}: {}; trying again in {} s", config_.mount, text, seconds),
      {{"IMA_EVENT", "view_failed"},
       {"IMA_CAUSE", CauseName(why.cause)},
       {"IMA_RETRY_SEC", std::to_string(seconds)}});
  failure_ = text;
}

}  // namespace imasnap::daemon
