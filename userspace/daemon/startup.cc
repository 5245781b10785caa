// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/startup.h"

#include <ctime>

#include "snapshot/snapshot.h"

namespace imasnap::daemon {
namespace {

// There a service has private directories (PrivateTmp=), which systemd removes when it
// stops. That is worse than memory, which is lost together with the kernel's list.
Status CheckPlace(const std::string& store) {
  if (!store.starts_with("/tmp/") && !store.starts_with("/var/tmp/")) {
    return {};
  }
  return FileError(ErrorCode::kRefused, Cause::kTemporaryStore, store,
                   "the store is below /tmp or /var/tmp, where it would be removed when the "
                   "service stops; choose another directory");
}

}  // namespace

Result<Prepared> Prepare(const Environment& env, Notes* notes) {
  IMASNAP_ASSIGN(const BackendChoice choice, env.kernel().ChooseBackend());
  if (choice.backend == Backend::kNone) {
    return MakeError(ErrorCode::kRefused, Cause::kNoBackend,
                     "no snapshot can be taken: " + choice.why);
  }
  Prepared prepared;
  prepared.backend = choice.backend;
  if (env.config.mode == SnapshotMode::kMark) {
    if (choice.backend != Backend::kSnapshot) {
      return MakeError(ErrorCode::kRefused, Cause::kNoMark,
                       "mode = \"mark\": staging has no mark, and " + choice.why);
    }
    return prepared;  // no store is used
  }
  IMASNAP_RETURN_IF_ERROR(CheckPlace(env.config.store));
  IMASNAP_ASSIGN(const Session session, RepairStore(env, notes));
  if (!session.segments.empty()) {
    prepared.last = session.segments.back().info;
  }
  return prepared;
}

std::optional<int64_t> ParseUtc(const std::string& text) {
  struct tm utc {};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  if (end == nullptr || *end != '\0') {
    return std::nullopt;
  }
  return ::timegm(&utc);
}

}  // namespace imasnap::daemon
