// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/quoting.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "log/log_reader.h"
#include "log/replay.h"
#include "tpm/quote.h"
#include "verify/verify.h"

namespace imasnap::cli {

Result<Bytes> NonceOf(const std::string& hex) {
  const auto nonce = FromHex(hex);
  if (!nonce || nonce->empty() || nonce->size() > kMaxNonce) {
    return MakeError(
        ErrorCode::kUsage,
        fmt::format("--nonce: \"{}\" is not 1 to {} bytes in hexadecimal", hex, kMaxNonce));
  }
  return *nonce;
}

Result<std::set<uint32_t>> PcrsOfLog(const std::vector<LogPart>& parts) {
  std::set<uint32_t> pcrs;
  for (const LogPart& part : parts) {
    if (part.missing || part.discarded) {
      continue;
    }
    IMASNAP_ASSIGN(const std::unique_ptr<File> file, part.open());
    LogReader reader(*file, {}, part.path, LogReader::Check::kFraming);
    while (true) {
      IMASNAP_ASSIGN(const Record* record, reader.Next());
      if (record == nullptr) {
        break;
      }
      if (record->pcr < kTpmPcrs) {
        pcrs.insert(record->pcr);
      }
    }
  }
  return pcrs.empty() ? std::set<uint32_t>{kImaPcr} : pcrs;
}

Result<PcrSelection> SelectionOf(const std::string& given, Tpm* tpm,
                                 const std::function<Result<std::set<uint32_t>>()>& of_log) {
  if (!given.empty()) {
    return ParsePcrSelection(given);
  }
  auto pcrs = of_log();
  if (!pcrs.ok()) {
    Error error = std::move(pcrs.error());
    error.message += "; --pcrs selects PCRs without looking at the log";
    return error;
  }
  IMASNAP_ASSIGN(const PcrSelection allocated, tpm->Allocated());
  PcrSelection selection = SelectInAllBanks(allocated, *pcrs);
  if (selection.empty()) {
    return MakeError(ErrorCode::kCannotCheck, Cause::kPcrNotAllocated,
                     fmt::format("no active bank of the TPM has PCR {}: it has {}",
                                 fmt::join(*pcrs, ","), ToText(allocated)));
  }
  return selection;
}

}  // namespace imasnap::cli
