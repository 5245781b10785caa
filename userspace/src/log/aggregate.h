// SPDX-License-Identifier: GPL-2.0-or-later
//
// The snapshot_aggregate record (IMA log snapshotting RFC v2, sections D.1 and
// E, with the tail this kernel series adds):
//
//   TEMPLATE_DATA := "Snapshot_Attempt_Count=" <decimal> ";" <PCR_Banks> <Tail>
//   PCR_Banks     := "" | <PCR_Bank> { <PCR_Bank> }
//   PCR_Bank      := <PCR> { "," <PCR> } ";"
//   PCR           := <alg> ":PCR" <0..23> ":0x" <uppercase hex>
//   Tail          := "Record_Count=" <decimal> ";"
//                    "Segment_Hash=sha256:" <lowercase hex> ";"
#ifndef IMASNAP_LOG_AGGREGATE_H_
#define IMASNAP_LOG_AGGREGATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "log/log_reader.h"

namespace imasnap {

inline constexpr std::string_view kAggregateEvent = "snapshot_aggregate";

// Whether the record is what the list of each boot begins with: boot_aggregate, or
// boot_aggregate_late if the kernel found its TPM late (CONFIG_IMA_INIT_LATE_SYNC).
// Under a template that is not known, any field may be the name.
bool IsBootAggregate(const Record& record);

// Attempts count from 1; a segment that was taken by staging has none.
inline constexpr uint64_t kNoAttempt = 0;

struct Aggregate {
  struct BankValues {
    std::string name;  // the kernel's name, or tpm_alg_<hex id>
    // PCR to value, as listed: a PCR that is not listed has its reset value.
    std::map<uint32_t, Digest> pcrs;

    bool operator==(const BankValues&) const = default;
  };

  uint64_t attempt = 0;
  std::vector<BankValues> banks;  // in the TPM's order
  uint64_t record_count = 0;      // records measured since cold boot before it
  Digest segment_hash;            // SHA-256

  bool operator==(const Aggregate&) const = default;
};

// Parses the buffer of the record. Strict: Format() of the result is `data`.
// Errors have `offset` within `data`.
Result<Aggregate> ParseAggregate(ByteView data);

// The text of the record's buffer.
std::string FormatAggregate(const Aggregate& aggregate);

// Whether the record is named snapshot_aggregate, has template ima-buf and a buffer
// that begins as one. Only the kernel measures those. A user's keyring may have the
// name, and its keys are then measured under it, but no key begins like an aggregate.
bool IsAggregate(const Record& record);

// Whether the record has the name and the buffer of an aggregate under another
// template. No digest covers the template's name, so anyone who can change the log can
// rename an aggregate to hide it. The kernel makes no such record: a signature or a
// key, which can be in the buffer's place, begins with its type or as DER.
bool IsRenamedAggregate(const Record& record);

// Parses `record` (for which IsAggregate() holds) and checks that d-ng is the
// digest of the buffer. Errors name the record.
Result<Aggregate> AggregateFromRecord(const Record& record);

}  // namespace imasnap

#endif  // IMASNAP_LOG_AGGREGATE_H_
