// SPDX-License-Identifier: GPL-2.0-or-later
//
// Why something failed, for programs: messages may change, these do not. With --json
// the names are printed ("cause" in ima-snapshot(1)).
#ifndef IMASNAP_BASE_CAUSE_H_
#define IMASNAP_BASE_CAUSE_H_

#include <iosfwd>

namespace imasnap {

enum class Cause {
  kOther,  // the message alone says it, or errno

  // Input does not follow its format: a log, metadata, a configuration, PCR values, a key.
  kSyntax,
  kNotDecimal,
  kNotHexadecimal,  // or in the wrong case
  kOutOfRange,
  kWrongLength,  // of a field, digest or value
  kWrongOrder,
  kWrongType,
  kNotQuoted,  // a text in the configuration
  kDuplicate,
  kTooMany,
  kTooLarge,
  kTruncated,
  kTrailingBytes,
  kUnknownName,  // of a key, template or bank
  kNotPrintable,
  kEmpty,
  kMissing,        // what must be there
  kNoAlgorithm,    // in a digest field
  kNoTerminator,   // the NUL of a string, or one inside it
  kDigestType,     // neither ima nor verity
  kUnknownFormat,  // a newer version wrote it
  kNotAList,       // not a measurement list at all

  // A file or directory is not what it must be.
  kNotRegularFile,
  kNotDirectory,
  kSymbolicLink,
  kWrongOwner,
  kWrongMode,  // others may write or read it
  kEndsEarly,
  kFileChanged,  // since it was first read
  kNotWritten,   // standard output
  kSameFile,     // two outputs have one name

  // A snapshot cannot be taken.
  kNoBackend,           // neither the snapshot file nor staging
  kNoMark,              // staging records no aggregate
  kBusy,                // another program has the kernel's file open, or records are staged
  kReadersExcluded,     // another program has a list open for writing
  kMeasuringSuspended,  // for a reboot
  kNotPurged,           // the segment is stored, the kernel refused to purge
  kCancelled,
  kNoSpace,            // min_free_space
  kVolatileStore,      // on a file system in memory
  kTemporaryStore,     // below /tmp or /var/tmp
  kStagedDeleted,      // by another program
  kStagedChanged,      // by another program
  kListChanged,        // records were removed in the meantime
  kListShrank,         // while it was read
  kRecordsGone,        // purged, and in no segment of the store (allow_gap)
  kRecordsUncounted,   // by this kernel: staging took them before a kexec
  kResetCountUnknown,  // the TPM does not answer, or nothing recorded it
  kOvermounted,        // the kernel's files cannot be reached

  // The log is not all there.
  kSegmentMissing,
  kSegmentDiscarded,  // after it was verified
  kSegmentUnknown,
  kRecordUnknown,  // none has the digest
  kBeginningMissing,
  kNotContinued,      // the list does not continue the last segment
  kRecordsMissing,    // the kernel counted more
  kDiscardForbidden,  // discard = "never"

  // The log contradicts itself, its metadata or the PCRs.
  kTemplateDigest,
  kAggregateDigest,     // d-ng is not the digest of the buffer
  kAggregateTemplate,   // under another template's name
  kAggregateViolation,  // an aggregate with the digest of a violation
  kAggregateMissing,    // which must close the part before
  kAttempt,             // out of sequence
  kRecordCount,         // of an aggregate
  kSegmentHash,         // of an aggregate
  kAggregatePcr,        // another value than replayed
  kStatePcr,            // another value in the state
  kMetadata,            // broken, or of another segment
  kMetadataBytes,
  kMetadataSha256,
  kMetadataRecords,
  kMetadataNumbers,  // first and last record
  kPcrMismatch,
  kPcrDigest,      // of a quote
  kBanksDisagree,  // they match at different records

  // What the log is compared with is not sufficient.
  kPcrNotExtended,  // by the log, though IMA measures to it
  kPcrNotCompared,  // though the log extends it
  kNothingCompared,
  kPcrValueNeeded,   // of a quoted PCR that the log does not extend
  kBankNotReplayed,  // its hash is not available

  // A verifier's state does not fit.
  kOtherMachine,
  kOtherBoot,
  kOtherSession,
  kOtherLog,        // it begins with another record
  kStateAhead,      // of the log
  kStateAggregate,  // another aggregate follows where it ends
  kStateSegment,    // the log lacks the segment where it ends
  kStateBank,       // it has no PCRs of a bank
  kStateDamaged,
  kStateWithKey,     // a key is needed
  kStateWithoutKey,  // a key was given
  kStateForged,      // or damaged, or the key is another
  kStateOld,         // of an earlier boot than the quote
  kStateMissing,

  // A file of evidence.
  kNotEvidence,      // it does not follow the format
  kEvidenceTooLate,  // it begins after records that the state does not cover
  kReadOnce,         // from standard input, but it must be read again

  // A quote, or the key that signed it.
  kNotAQuote,
  kNonce,
  kSignature,
  kSignatureScheme,  // not that of the key, or not known
  kSignatureHash,    // weak or not known
  kPcrValues,        // not those that were quoted
  kQuoteReplayed,    // older than the last one of the key
  kWeakKey,
  kKeyType,  // neither RSA nor ECC
  kCurve,
  kNotSigningKey,
  kNotRestricted,
  kNotFixed,  // to one TPM
  kAkExists,
  kAkUnknown,

  // The TPM.
  kNoTpm,
  kTpmNotOpened,
  kHierarchyPassword,
  kHierarchyDisabled,
  kAkNotLoaded,      // of another TPM, or damaged
  kPcrNotAllocated,  // in an active bank

  // The view.
  kViewMounted,   // there already
  kViewReplaced,  // one whose process is gone
  kViewLost,      // it is no longer served
};
inline constexpr Cause kLastCause = Cause::kViewLost;

// "segment_missing".
const char* CauseName(Cause cause);
std::ostream& operator<<(std::ostream& out, Cause cause);

}  // namespace imasnap

#endif  // IMASNAP_BASE_CAUSE_H_
