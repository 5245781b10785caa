// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/cause.h"

#include <cstddef>
#include <iterator>
#include <ostream>

namespace imasnap {
namespace {

constexpr struct {
  Cause cause;
  const char* name;
} kNames[] = {
    {Cause::kOther, "other"},
    {Cause::kSyntax, "syntax"},
    {Cause::kNotDecimal, "not_decimal"},
    {Cause::kNotHexadecimal, "not_hexadecimal"},
    {Cause::kOutOfRange, "out_of_range"},
    {Cause::kWrongLength, "wrong_length"},
    {Cause::kWrongOrder, "wrong_order"},
    {Cause::kWrongType, "wrong_type"},
    {Cause::kNotQuoted, "not_quoted"},
    {Cause::kDuplicate, "duplicate"},
    {Cause::kTooMany, "too_many"},
    {Cause::kTooLarge, "too_large"},
    {Cause::kTruncated, "truncated"},
    {Cause::kTrailingBytes, "trailing_bytes"},
    {Cause::kUnknownName, "unknown_name"},
    {Cause::kNotPrintable, "not_printable"},
    {Cause::kEmpty, "empty"},
    {Cause::kMissing, "missing"},
    {Cause::kNoAlgorithm, "no_algorithm"},
    {Cause::kNoTerminator, "no_terminator"},
    {Cause::kDigestType, "digest_type"},
    {Cause::kUnknownFormat, "unknown_format"},
    {Cause::kNotAList, "not_a_list"},
    {Cause::kNotRegularFile, "not_regular_file"},
    {Cause::kNotDirectory, "not_directory"},
    {Cause::kSymbolicLink, "symbolic_link"},
    {Cause::kWrongOwner, "wrong_owner"},
    {Cause::kWrongMode, "wrong_mode"},
    {Cause::kEndsEarly, "ends_early"},
    {Cause::kFileChanged, "file_changed"},
    {Cause::kNotWritten, "not_written"},
    {Cause::kSameFile, "same_file"},
    {Cause::kNoBackend, "no_backend"},
    {Cause::kNoMark, "no_mark"},
    {Cause::kBusy, "busy"},
    {Cause::kReadersExcluded, "readers_excluded"},
    {Cause::kMeasuringSuspended, "measuring_suspended"},
    {Cause::kNotPurged, "not_purged"},
    {Cause::kCancelled, "cancelled"},
    {Cause::kNoSpace, "no_space"},
    {Cause::kVolatileStore, "volatile_store"},
    {Cause::kTemporaryStore, "temporary_store"},
    {Cause::kStagedDeleted, "staged_deleted"},
    {Cause::kStagedChanged, "staged_changed"},
    {Cause::kListChanged, "list_changed"},
    {Cause::kListShrank, "list_shrank"},
    {Cause::kRecordsGone, "records_gone"},
    {Cause::kRecordsUncounted, "records_uncounted"},
    {Cause::kResetCountUnknown, "reset_count_unknown"},
    {Cause::kOvermounted, "overmounted"},
    {Cause::kSegmentMissing, "segment_missing"},
    {Cause::kSegmentDiscarded, "segment_discarded"},
    {Cause::kSegmentUnknown, "segment_unknown"},
    {Cause::kRecordUnknown, "record_unknown"},
    {Cause::kBeginningMissing, "beginning_missing"},
    {Cause::kNotContinued, "not_continued"},
    {Cause::kRecordsMissing, "records_missing"},
    {Cause::kDiscardForbidden, "discard_forbidden"},
    {Cause::kTemplateDigest, "template_digest"},
    {Cause::kAggregateDigest, "aggregate_digest"},
    {Cause::kAggregateTemplate, "aggregate_template"},
    {Cause::kAggregateViolation, "aggregate_violation"},
    {Cause::kAggregateMissing, "aggregate_missing"},
    {Cause::kAttempt, "attempt"},
    {Cause::kRecordCount, "record_count"},
    {Cause::kSegmentHash, "segment_hash"},
    {Cause::kAggregatePcr, "aggregate_pcr"},
    {Cause::kStatePcr, "state_pcr"},
    {Cause::kMetadata, "metadata"},
    {Cause::kMetadataBytes, "metadata_bytes"},
    {Cause::kMetadataSha256, "metadata_sha256"},
    {Cause::kMetadataRecords, "metadata_records"},
    {Cause::kMetadataNumbers, "metadata_numbers"},
    {Cause::kPcrMismatch, "pcr_mismatch"},
    {Cause::kPcrDigest, "pcr_digest"},
    {Cause::kBanksDisagree, "banks_disagree"},
    {Cause::kPcrNotExtended, "pcr_not_extended"},
    {Cause::kPcrNotCompared, "pcr_not_compared"},
    {Cause::kNothingCompared, "nothing_compared"},
    {Cause::kPcrValueNeeded, "pcr_value_needed"},
    {Cause::kBankNotReplayed, "bank_not_replayed"},
    {Cause::kOtherMachine, "other_machine"},
    {Cause::kOtherBoot, "other_boot"},
    {Cause::kOtherSession, "other_session"},
    {Cause::kOtherLog, "other_log"},
    {Cause::kStateAhead, "state_ahead"},
    {Cause::kStateAggregate, "state_aggregate"},
    {Cause::kStateSegment, "state_segment"},
    {Cause::kStateBank, "state_bank"},
    {Cause::kStateDamaged, "state_damaged"},
    {Cause::kStateWithKey, "state_with_key"},
    {Cause::kStateWithoutKey, "state_without_key"},
    {Cause::kStateForged, "state_forged"},
    {Cause::kStateOld, "state_old"},
    {Cause::kStateMissing, "state_missing"},
    {Cause::kNotEvidence, "not_evidence"},
    {Cause::kEvidenceTooLate, "evidence_too_late"},
    {Cause::kReadOnce, "read_once"},
    {Cause::kNotAQuote, "not_a_quote"},
    {Cause::kNonce, "nonce"},
    {Cause::kSignature, "signature"},
    {Cause::kSignatureScheme, "signature_scheme"},
    {Cause::kSignatureHash, "signature_hash"},
    {Cause::kPcrValues, "pcr_values"},
    {Cause::kQuoteReplayed, "quote_replayed"},
    {Cause::kWeakKey, "weak_key"},
    {Cause::kKeyType, "key_type"},
    {Cause::kCurve, "curve"},
    {Cause::kNotSigningKey, "not_signing_key"},
    {Cause::kNotRestricted, "not_restricted"},
    {Cause::kNotFixed, "not_fixed"},
    {Cause::kAkExists, "ak_exists"},
    {Cause::kAkUnknown, "ak_unknown"},
    {Cause::kNoTpm, "no_tpm"},
    {Cause::kTpmNotOpened, "tpm_not_opened"},
    {Cause::kHierarchyPassword, "hierarchy_password"},
    {Cause::kHierarchyDisabled, "hierarchy_disabled"},
    {Cause::kAkNotLoaded, "ak_not_loaded"},
    {Cause::kPcrNotAllocated, "pcr_not_allocated"},
    {Cause::kViewMounted, "view_mounted"},
    {Cause::kViewReplaced, "view_replaced"},
    {Cause::kViewLost, "view_lost"},
};

constexpr bool InOrder() {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i].cause != static_cast<Cause>(i)) {
      return false;
    }
  }
  return true;
}
static_assert(InOrder() && std::size(kNames) == static_cast<size_t>(kLastCause) + 1);

}  // namespace

const char* CauseName(Cause cause) { return kNames[static_cast<size_t>(cause)].name; }

std::ostream& operator<<(std::ostream& out, Cause cause) { return out << CauseName(cause); }

}  // namespace imasnap
