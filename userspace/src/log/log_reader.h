// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads a measurement list in the kernel's binary format, one record at a time
// (ima_measurements_show() in security/integrity/ima/ima_fs.c):
//
//   u32 PCR
//   template digest: 20 bytes in binary_runtime_measurements, the bank's length
//                    in binary_runtime_measurements_<alg>
//   u32 length of the template's name, the name (no NUL)
//   u32 length of the template data (absent for the `ima` template)
//   template data: each field a u32 length and its bytes; for `ima` instead
//                  20 bytes of digest, u32 length, and the name without NUL
#ifndef IMASNAP_LOG_LOG_READER_H_
#define IMASNAP_LOG_LOG_READER_H_

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "log/template.h"

namespace imasnap {

struct LogFormat {
  // Algorithm of the digest in each record's header.
  HashAlg header_alg = HashAlg::kSha1;
  // Nothing: that in which the first record has a PCR and a template that can be.
  std::optional<ByteOrder> order{};
};

// PCRs that a policy may name: INVALID_PCR() of ima_policy.c.
inline constexpr uint32_t kMaxPcr = 64;
// Longest template data that is read. The kernel sets no limit; its largest
// sources (extended attributes, policies, keys) stay far below this.
inline constexpr uint32_t kMaxTemplateData = 16U << 20;

// One record. The views stay valid until the reader's next call.
struct Record {
  uint64_t number = 0;  // from 1, in the file read
  uint64_t offset = 0;  // of its first byte, in the file read
  uint32_t pcr = 0;
  ByteView digest;                 // the header's
  const Template* tmpl = nullptr;  // null if it is not known: its fields have no names
  std::string_view template_name;
  ByteView template_data;
  FieldViews fields;  // empty if they cannot be parsed (kFraming, or without `tmpl`)
  ByteView raw;       // the whole record
  ByteOrder order = ByteOrder::kLittle;

  // A violation has an all-zero digest, and the PCR is extended with ones.
  bool IsViolation() const;
  std::string_view event_name() const;
};

class LogReader {
 public:
  enum class Check {
    kStrict,   // malformed fields of a known template are errors
    kFraming,  // only what makes the end of a record unknown is an error
  };

  // `source` must outlive the reader. `file` is the name errors give.
  LogReader(ByteSource& source, LogFormat format, std::string file, Check check = Check::kStrict);
  // Reads `records` in place; they must outlive the reader.
  LogReader(ByteView records, LogFormat format, std::string file, Check check = Check::kStrict);
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  // Starts again with another source in the same format and reuses the memory. Not for
  // a reader that reads records in place.
  void Reset(ByteSource& source, std::string file);

  // The next record, or null at the end of the source. After null the reader
  // may be called again: a source that grew continues. Errors (kMalformed, or
  // what the source returned) name file, record and offset; the reader stays at
  // the record that failed. If the file looks like something else, the cause is
  // kNotAList.
  Result<const Record*> Next();

  uint64_t records() const { return record_.number; }
  // Bytes of the records returned so far.
  uint64_t bytes() const { return next_offset_; }

 private:
  // Makes `n` bytes available from the current record's start on; false at the
  // end of the source.
  Result<bool> Fill(size_t n);
  Error Malformed(size_t at, Cause cause, std::string message) const;
  // The same, but kNotAList if the file does not begin like a list.
  Error NoHeader(size_t at, Cause cause, std::string message) const;
  Status FindOrder();
  // Reads until the record's `count` bytes at `at` are available. If they are missing,
  // the error calls them `what`.
  Status NeedBytes(size_t at, size_t count, const char* what) {
    return end_ - begin_ >= at + count ? Status() : ReadBytes(at + count, what);
  }
  Status ReadBytes(size_t end, const char* what);

  ByteSource* source_;  // null if `held_` is everything
  const LogFormat format_;
  ByteOrder order_ = ByteOrder::kLittle;
  std::string file_;
  const Check check_;
  TemplateCache templates_;
  Record record_;
  Bytes buffer_;
  ByteView held_;     // buffer_, or the records in place
  size_t begin_ = 0;  // of the current record in held_
  size_t end_ = 0;    // of the valid bytes in held_
  uint64_t next_offset_ = 0;
};

}  // namespace imasnap

#endif  // IMASNAP_LOG_LOG_READER_H_
