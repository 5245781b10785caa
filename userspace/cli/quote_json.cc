// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/quote_json.h"

#include <fmt/format.h>

namespace imasnap::cli {

Json ToJson(const ClockInfo& clock) {
  return {{"clock", clock.clock},
          {"reset_count", clock.reset_count},
          {"restart_count", clock.restart_count},
          {"safe", clock.safe}};
}

Json ToJson(const CheckedQuote& quote, bool reset_count_checked) {
  Json json;
  json["ak_id"] = quote.ak_id;
  json["ak_tpm_name"] = quote.ak_name.empty() ? Json(nullptr) : Json(quote.ak_name);
  json["nonce"] = ToHex(quote.attestation.nonce);
  json["selection"] = ToText(quote.attestation.selection);
  json["pcr_digest"] = ToHex(quote.attestation.pcr_digest);
  json["clock"] = ToJson(quote.attestation.clock);
  json["reset_count_checked"] = reset_count_checked;
  return json;
}

std::string ClockLine(const ClockInfo& clock) {
  return fmt::format("clock       {} ms{}, resetCount {}, restartCount {}\n", clock.clock,
                     clock.safe ? "" : " (not safe)", clock.reset_count, clock.restart_count);
}

}  // namespace imasnap::cli
