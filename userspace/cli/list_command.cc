// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"

namespace imasnap::cli {
namespace {

const char* StateText(SegmentState state) {
  return state == SegmentState::kStored ? "stored, not purged" : StateName(state);
}

}  // namespace

Result<int> ListCommand(const Context& context) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> lock, AcquireLock(context.env, LockMode::kShared));
  IMASNAP_ASSIGN(const std::optional<Session> session, context.env.store().LoadNewest());
  std::ostream& out = context.host.out;
  if (context.options.json) {
    Json json;
    json["store"] = context.env.config.store;
    json["session"] = session ? Json(session->id) : Json(nullptr);
    json["segments"] = Json::array();
    json["rejected"] = Json::array();
    if (session) {
      for (const Segment& segment : session->segments) {
        json["segments"].push_back(ToJson(segment));
      }
      json["rejected"] = session->rejected;
    }
    out << Dump(json);
    return kExitOk;
  }
  if (!session) {
    return kExitOk;
  }
  out << fmt::format("{:<9} {:>7} {:>17} {:>9} {:>11}  {:<20} {}\n", "SEGMENT", "ATTEMPT",
                     "RECORDS", "COUNT", "SIZE", "TAKEN", "STATE");
  for (const Segment& segment : session->segments) {
    if (segment.info) {
      const SegmentInfo& info = *segment.info;
      out << fmt::format(
          "{:<9} {:>7} {:>17} {:>9} {:>11}  {:<20} {}{}\n", SegmentName(segment.number),
          info.attempt == kNoAttempt ? "-" : std::to_string(info.attempt), RecordRange(info),
          info.records, SizeText(info.bytes), info.taken, StateText(info.state),
          segment.has_data || info.state == SegmentState::kDiscarded ? "" : ", MISSING");
    } else {
      out << fmt::format("{:<9} metadata {}\n", SegmentName(segment.number),
                         segment.info_error ? segment.info_error->message : "not written");
    }
  }
  for (const std::string& path : session->rejected) {
    context.Diagnose(fmt::format("{}: did not match its hash and was kept as rejected", path));
  }
  return kExitOk;
}

}  // namespace imasnap::cli
