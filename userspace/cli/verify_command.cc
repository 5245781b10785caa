// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "commands.h"
#include "json.h"
#include "session.h"
#include "stitch.h"
#include "verify.h"

namespace imasnap::cli {
namespace {

struct VerifyArguments {
  bool tpm = false;
  std::vector<std::string> pcr_files;
};

Result<std::unique_ptr<PcrReader>> OpenPcrs(const Context& context,
                                            const VerifyArguments& arguments) {
  if (arguments.tpm) {
    return context.host.open_tpm(context.options.tcti);
  }
  if (arguments.pcr_files.empty()) {
    return std::unique_ptr<PcrReader>();
  }
  PcrValues all;
  for (const std::string& file : arguments.pcr_files) {
    IMASNAP_ASSIGN(const std::string text, context.env.fs.ReadFile(file, 1U << 20));
    IMASNAP_ASSIGN(const PcrValues values, ParsePcrText(text, file));
    for (const auto& [bank, pcrs] : values) {
      for (const auto& [pcr, value] : pcrs) {
        if (!all[bank].emplace(pcr, value).second) {
          return FileError(ErrorCode::kCannotCheck, file,
                           fmt::format("gives {} PCR {} again", bank, pcr));
        }
      }
    }
  }
  return std::unique_ptr<PcrReader>(std::make_unique<FixedPcrs>(std::move(all)));
}

void PrintReport(const VerifyReport& report, std::ostream& out) {
  out << fmt::format("records     {} ({} in {} segments, {} in the kernel)\n", report.records,
                     report.records - report.live_records, report.segments, report.live_records);
  out << fmt::format("aggregates  {} ({} PCR values checked by replay)\n", report.aggregates,
                     report.pcr_checks);
  out << fmt::format("violations  {}\n", report.violations);
  for (const BankReport& bank : report.banks) {
    for (const auto& [pcr, value] : bank.pcrs) {
      out << fmt::format("{:<11} PCR {} {}{}{}\n", bank.name, pcr, value.Hex(),
                         bank.padded_sha1 ? " (padded SHA-1)" : "",
                         bank.compared ? " matches" : "");
    }
  }
  for (const std::string& bank : report.unchecked_banks) {
    out << fmt::format("{:<11} not checked: its hash is not available here\n", bank);
  }
  if (report.finding) {
    const Finding& finding = *report.finding;
    out << fmt::format("MISMATCH    in {}{}{}\n",
                       finding.segment == 0
                           ? std::string("the kernel's list")
                           : fmt::format("segment {}", SegmentName(finding.segment)),
                       finding.record ? fmt::format(", record {}", *finding.record) : "",
                       finding.bank.empty() ? "" : fmt::format(", bank {}", finding.bank));
    return;
  }
  if (report.matched_record) {
    const uint64_t later = report.records - *report.matched_record;
    out << fmt::format(
        "OK          the log matches the PCRs at record {}{}\n", *report.matched_record,
        later == 0 ? "" : fmt::format("; {} later records are not covered by them", later));
  } else {
    out << "OK          the log agrees with itself (no PCRs were given to compare with)\n";
  }
}

Result<int> Verify(const Context& context, const VerifyArguments& arguments) {
  auto pcrs = OpenPcrs(context, arguments);
  if (!pcrs.ok()) {
    return CannotCheck(std::move(pcrs.error()));
  }
  auto view = OpenLogView(context.env);
  if (!view.ok()) {
    return CannotCheck(std::move(view.error()));
  }
  auto report = VerifyLog(PartsOf(context.env, *view), pcrs->get());
  if (!report.ok()) {
    return CannotCheck(std::move(report.error()));
  }
  if (context.options.json) {
    context.host.out << Dump(ToJson(*report));
  } else {
    PrintReport(*report, context.host.out);
  }
  if (report->finding) {
    context.Diagnose(report->finding->ToError().ToString());
    return kExitMismatch;
  }
  return kExitOk;
}

}  // namespace

void AddVerifyCommand(CommandTable* commands) {
  auto args = std::make_shared<VerifyArguments>();
  CLI::App* verify =
      commands->Add("verify", "Check the whole log since cold boot",
                    [args](const Context& context) { return Verify(context, *args); });
  auto* tpm = verify->add_flag("--tpm", args->tpm, "Compare with the TPM's PCRs");
  verify
      ->add_option("--pcrs", args->pcr_files,
                   "Compare with PCRs from a file (tpm2_pcrread's or the kernel's form)")
      ->type_name("FILE")
      ->take_all()
      ->allow_extra_args(false)
      ->excludes(tpm);
}

}  // namespace imasnap::cli
