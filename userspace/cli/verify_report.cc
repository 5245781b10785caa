// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/verify_report.h"

#include <fmt/format.h>

#include "base/text.h"
#include "store/store.h"

namespace imasnap::cli {
namespace {

Json ToJson(const Finding& finding) {
  Json out;
  out["cause"] = CauseName(finding.cause);
  out["file"] = finding.file;
  out["segment"] = finding.segment == 0 ? Json("live") : Json(finding.segment);
  out["record"] = OrNull(finding.record);
  out["record_in_file"] = OrNull(finding.record_in_file);
  out["offset"] = OrNull(finding.offset);
  out["bank"] = finding.bank.empty() ? Json(nullptr) : Json(finding.bank);
  out["pcr"] = OrNull(finding.pcr);
  out["expected"] = finding.expected.empty() ? Json(nullptr) : Json(finding.expected);
  out["found"] = finding.found.empty() ? Json(nullptr) : Json(finding.found);
  out["state_end"] = OrNull(finding.state_end);
  out["lost_at_kexec"] = OrNull(finding.lost_at_kexec);
  out["tpm_restarted"] = finding.tpm_restarted;
  out["message"] = finding.message;
  return out;
}

// What was read from the state, and what was written to it.
Json StateJson(const VerifyReport& report, const ReportContext& context) {
  Json json;
  json["records_before"] = report.records_before;
  json["written"] = report.checkpoint && context.saved;
  if (report.checkpoint) {
    json["records"] = report.checkpoint->records;
    json["segment"] =
        report.checkpoint->segment == 0 ? Json(nullptr) : Json(report.checkpoint->segment);
  }
  return json;
}

// "0-9, 11"
std::string Ranges(const std::set<uint32_t>& numbers) {
  std::string text;
  for (auto it = numbers.begin(); it != numbers.end();) {
    const uint32_t first = *it;
    uint32_t last = first;
    while (++it != numbers.end() && *it == last + 1) {
      last = *it;
    }
    text += fmt::format("{}{}", text.empty() ? "" : ", ", first);
    if (last != first) {
      text += fmt::format("-{}", last);
    }
  }
  return text;
}

void PrintFinding(const Finding& finding, std::ostream& out) {
  out << fmt::format("MISMATCH    in {}{}{}{}\n",
                     finding.segment == 0 ? std::string("the kernel's list")
                                          : fmt::format("segment {}", SegmentName(finding.segment)),
                     finding.record ? fmt::format(", record {}", *finding.record) : "",
                     finding.bank.empty() ? "" : fmt::format(", bank {}", finding.bank),
                     finding.pcr ? fmt::format(", PCR {}", *finding.pcr) : "");
  if (!finding.expected.empty() || !finding.found.empty()) {
    out << fmt::format("expected    {}\nfound       {}\n", finding.expected, finding.found);
  }
}

void PrintState(const VerifyReport& report, const ReportContext& context, std::ostream& out) {
  if (!report.checkpoint) {
    out << "state       not written: no PCRs were given to compare with\n";
  } else if (!context.saved) {
    out << "state       could not be written\n";
  } else if (report.checkpoint->records == 0) {
    out << "state       written; no segment is covered yet: the next verification begins at record "
           "1\n";
  } else {
    out << fmt::format(
        "state       written; the next verification begins after segment {}, record {}\n",
        SegmentName(report.checkpoint->segment), report.checkpoint->records);
  }
}

}  // namespace

void PrintReport(const VerifyReport& report, const ReportContext& context, std::ostream& out) {
  out << fmt::format("records     {} ({} in {}, {} in the kernel)\n", report.records,
                     report.records - report.live_records, Counted(report.segments, "segment"),
                     report.live_records);
  if (report.records_before > 0) {
    out << fmt::format(
        "state       records 1 to {} were verified before and not read; {} were read\n",
        report.records_before, report.records - report.records_before);
  }
  out << fmt::format("aggregates  {} ({} checked by replay)\n", report.aggregates,
                     Counted(report.pcr_checks, "PCR value"));
  out << fmt::format("violations  {}\n", report.violations);
  if (report.undecoded > 0) {
    out << fmt::format("not decoded {}: the template is not known; replayed like the others\n",
                       Counted(report.undecoded, "record"));
  }
  for (const BankReport& bank : report.banks) {
    for (const auto& [pcr, value] : bank.pcrs) {
      out << fmt::format("{:<11} PCR {} {}{}{}\n", bank.name, pcr, value.Hex(),
                         bank.padded_sha1 ? " (padded SHA-1)" : "",
                         bank.compared.contains(pcr) ? " matches" : "");
    }
  }
  for (const BankReport& bank : report.banks) {
    if (!bank.not_replayed.empty()) {
      out << fmt::format("not replayed {} PCRs {}: given, but no record of the log extends them\n",
                         bank.name, Ranges(bank.not_replayed));
    }
  }
  for (const std::string& bank : report.unchecked_banks) {
    out << fmt::format("{:<11} not checked: its hash is not available here\n", bank);
  }
  if (report.finding) {
    PrintFinding(*report.finding, out);
    return;
  }
  if (report.matched_record) {
    const uint64_t later = report.records - *report.matched_record;
    out << fmt::format(
        "OK          the log matches the PCRs at record {}{}\n", *report.matched_record,
        later == 0 ? "" : fmt::format("; they do not cover {}", Counted(later, "later record")));
  } else {
    out << "OK          the log agrees with itself (no PCRs were given to compare with)\n";
    if (report.unchained > 0) {
      out << fmt::format(
          "not chained {} segments, which no aggregate closed (staging): only PCRs show whether "
          "records are missing after them\n",
          report.unchained);
    }
  }
  if (!context.live) {
    out << fmt::format(
        "not covered what was measured since segment {} was taken (no --live was given)\n",
        SegmentName(context.last_segment));
  }
  if (context.stateful) {
    PrintState(report, context, out);
  }
}

Json ToJson(const VerifyReport& report, const ReportContext& context) {
  Json json;
  json["ok"] = !report.finding;
  json["records"] = report.records;
  json["records_read"] = report.records - report.records_before;
  json["live_records"] = report.live_records;
  json["segments"] = report.segments;
  json["aggregates"] = report.aggregates;
  json["violations"] = report.violations;
  json["not_decoded"] = report.undecoded;
  json["aggregate_pcr_checks"] = report.pcr_checks;
  json["unchained_segments"] = report.unchained;
  json["matched_record"] = OrNull(report.matched_record);
  Json banks = Json::object();
  Json not_replayed = Json::array();
  for (const BankReport& bank : report.banks) {
    banks[bank.name] = {
        {"compared", !bank.compared.empty() && bank.compared.size() == bank.pcrs.size()},
        {"padded_sha1", bank.padded_sha1},
        {"pcrs", own_json::FromPcrs(bank.pcrs)}};
    for (const uint32_t pcr : bank.not_replayed) {
      not_replayed.push_back({{"bank", bank.name}, {"pcr", pcr}});
    }
  }
  json["banks"] = std::move(banks);
  json["not_replayed"] = std::move(not_replayed);
  json["unchecked_banks"] = report.unchecked_banks;
  json["live"] = context.live;
  json["state"] = context.stateful ? StateJson(report, context) : Json(nullptr);
  if (report.finding) {
    json["mismatch"] = ToJson(*report.finding);
  }
  return json;
}

}  // namespace imasnap::cli
