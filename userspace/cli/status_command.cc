// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "snapshot/staging.h"
#include "store/boot_log.h"

namespace imasnap::cli {
namespace {

// A counter, or null if the kernel does not have it or it cannot be read.
Json Counter(const KernelFiles& kernel, const char* name) {
  const auto value = kernel.Counter(name);
  return value.ok() ? OrNull(*value) : Json(nullptr);
}

// The staged records, or null if the kernel has no staging or they cannot be read now.
Json Staged(const KernelFiles& kernel) {
  const auto size = StagedSize(kernel);
  if (!size.ok() || !*size) {
    return nullptr;
  }
  return {{"records", (*size)->records}, {"bytes", (*size)->bytes}};
}

const char* LockState(const Environment& env) {
  const auto lock = AcquireLock(env, LockMode::kShared);
  if (lock.ok()) {
    return "free";
  }
  return lock.error().code == ErrorCode::kLocked ? "held" : "unknown";
}

Result<Json> StoreStatus(const Environment& env) {
  const Store store = env.store();
  Json json;
  json["path"] = store.root();
  const auto fs = env.fs.StatFileSystem(store.root());
  json["free_bytes"] = fs.ok() ? Json(fs->available) : Json(nullptr);
  IMASNAP_ASSIGN(const std::vector<uint64_t> sessions, store.Sessions());
  json["sessions"] = sessions.size();
  IMASNAP_ASSIGN(const std::optional<Session> session, store.LoadNewest());
  json["session"] = session ? Json(session->id) : Json(nullptr);
  json["segments"] = session ? session->segments.size() : 0;
  json["rejected"] = session ? session->rejected.size() : 0;
  uint64_t bytes = 0;
  uint64_t discarded = 0;
  Json last = nullptr;
  if (session) {
    IMASNAP_ASSIGN(bytes, store.Size(*session));
    for (const Segment& segment : session->segments) {
      discarded += segment.info && segment.info->state == SegmentState::kDiscarded ? 1 : 0;
    }
    if (!session->segments.empty()) {
      last = ToJson(session->segments.back());
    }
  }
  json["discarded"] = discarded;
  json["bytes"] = bytes;
  json["last"] = std::move(last);
  return json;
}

std::string Text(const Json& value) { return value.is_null() ? "-" : value.dump(); }

std::string Count(const Json& value, const char* noun) {
  return value.is_null() ? fmt::format("- {}s", noun) : Counted(value.get<uint64_t>(), noun);
}

std::string Size(const Json& value) {
  return value.is_null() ? "- bytes" : SizeText(value.get<uint64_t>());
}

void Print(const Json& json, std::ostream& out) {
  const Json& kernel = json["kernel"];
  const Json& store = json["store"];
  out << fmt::format("backend   {} ({})\n", json["backend"].get<std::string>(),
                     json["why"].get<std::string>());
  out << fmt::format("kernel    {} in memory, {}, {} since cold boot\n",
                     Count(kernel["records"], "record"), Size(kernel["bytes"]),
                     Text(kernel["total"]));
  out << fmt::format("          {}, {}, {}\n", Count(kernel["attempts"], "attempt"),
                     Count(kernel["purges"], "purge"), Count(kernel["violations"], "violation"));
  if (const Json& staged = kernel["staged"]; !staged.is_null()) {
    out << fmt::format("staged    {}, {}\n", Count(staged["records"], "record"),
                       Size(staged["bytes"]));
  }
  out << fmt::format("store     {}: session {}, {}, {}, {} free\n",
                     store["path"].get<std::string>(), Text(store["session"]),
                     Count(store["segments"], "segment"), Size(store["bytes"]),
                     Size(store["free_bytes"]));
  if (const Json& last = store["last"]; last.is_object() && last.contains("taken")) {
    out << fmt::format("last      segment {}, attempt {}, {}\n",
                       SegmentName(last["segment"].get<uint64_t>()), Text(last["attempt"]),
                       last["taken"].get<std::string>());
  }
  out << fmt::format("discard   {}: {} discarded\n", json["discard"].get<std::string>(),
                     Count(store["discarded"], "segment"));
  out << fmt::format("lock      {}\n", json["lock"].get<std::string>());
}

}  // namespace

Result<int> StatusCommand(const Context& context) {
  const KernelFiles kernel = context.env.kernel();
  IMASNAP_ASSIGN(const BackendChoice choice, kernel.ChooseBackend());
  Json json;
  json["backend"] = BackendName(choice.backend);
  json["why"] = choice.why;
  json["kernel"] = {
      {"records", Counter(kernel, "runtime_measurements_count")},
      {"bytes", Counter(kernel, "runtime_measurements_size")},
      {"total", Counter(kernel, "runtime_measurements_total")},
      {"attempts", Counter(kernel, "snapshot_attempts")},
      {"purges", Counter(kernel, "snapshot_purges")},
      {"violations", Counter(kernel, "violations")},
      {"staged", Staged(kernel)},
  };
  json["lock"] = LockState(context.env);
  json["discard"] = context.env.config.discard == Discard::kVerified ? "verified" : "never";
  IMASNAP_ASSIGN(json["store"], StoreStatus(context.env));
  if (context.options.json) {
    context.host.out << Dump(json);
  } else {
    Print(json, context.host.out);
  }
  return kExitOk;
}

}  // namespace imasnap::cli
