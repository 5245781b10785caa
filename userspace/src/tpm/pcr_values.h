// SPDX-License-Identifier: GPL-2.0-or-later
//
// PCR values from outside the log: what a replay is compared with.
#ifndef IMASNAP_TPM_PCR_VALUES_H_
#define IMASNAP_TPM_PCR_VALUES_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace imasnap {

// Bank (the kernel's name of its algorithm) to PCR to value.
using PcrValues = std::map<std::string, std::map<uint32_t, Digest>>;

struct QuotedPcrs;

class PcrReader {
 public:
  virtual ~PcrReader() = default;
  // The values of these PCRs in every bank, all of one moment.
  virtual Result<PcrValues> Read(const std::vector<uint32_t>& pcrs) = 0;
  // Whether another Read() may give later values.
  virtual bool live() const = 0;
  // The values are only known by a digest over them (quote_check.h).
  virtual const QuotedPcrs* quoted() const { return nullptr; }
};

// Reads the text of a PCR file in one of these forms, told by its lines:
//   tpm2_pcrread:    "sha256:" and below it "  10: 0x0123..."; a bank that is not
//                    known is read too
//   tpm2_quote, tpm2_checkquote: the same below "pcrs:", among lines that are skipped
//   sysfs, evmctl:   "PCR-10: 01 23 ..." or "PCR-10: 0123..."; the bank is the
//                    SHA algorithm with a digest of that length
// Strict; errors name `file` and the line.
Result<PcrValues> ParsePcrText(std::string_view text, const std::string& file);

// Values that do not change.
class FixedPcrs : public PcrReader {
 public:
  explicit FixedPcrs(PcrValues values) : values_(std::move(values)) {}
  Result<PcrValues> Read(const std::vector<uint32_t>& pcrs) override;
  bool live() const override { return false; }

 private:
  PcrValues values_;
};

}  // namespace imasnap

#endif  // IMASNAP_TPM_PCR_VALUES_H_
