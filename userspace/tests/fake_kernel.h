// SPDX-License-Identifier: GPL-2.0-or-later
//
// A kernel in memory: the files of /sys/kernel/security/ima with the snapshot
// file's behaviour (exclusive open for reading and writing that records the
// aggregate, read, purge on write, nothing lost on close), readers that are told
// when records went that they had not read, or staging's ("A", "D", readers and a writer
// excluding each other), and PCRs.
#ifndef IMASNAP_TESTS_FAKE_KERNEL_H_
#define IMASNAP_TESTS_FAKE_KERNEL_H_

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "log/aggregate.h"
#include "log_builder.h"
#include "tpm/pcr_values.h"

namespace imasnap::testing {

// What a kernel does wrong in a snapshot.
enum class Lie {
  kNone,
  kSegmentHash,  // the aggregate's is that of other bytes
  kOtherBytes,   // the file's are not those of the list
  kNoAggregate,  // none is recorded
  kOtherRecord,  // another record in its place
  kGarbledText,  // an aggregate that cannot be parsed
};

class FakeKernel {
 public:
  explicit FakeKernel(std::vector<std::string> banks = {"sha1", "sha256"});

  // A boot: empties everything and measures boot_aggregate.
  void Boot();
  // Into a kernel of the same kind: what is staged comes before the list again,
  // and the new kernel measures its boot_aggregate. `lost`: so many of the last records
  // did not fit the buffer.
  void Kexec(size_t lost = 0);
  void Measure(const BuiltRecord& record);
  void MeasureFiles(int count);  // new names each time

  // Every record since the boot, purged or not.
  Bytes Everything() const;
  // Those still in memory, staged or not.
  Bytes InMemory() const;
  Bytes Staged() const;
  uint64_t staged() const { return staged_; }
  // As another program's "echo A" and "echo D"; the errno of a refusal.
  int Stage();
  int DeleteStaged();
  uint64_t total() const { return all_.size(); }
  uint64_t in_memory() const { return all_.size() - purged_; }
  uint64_t attempts() const { return attempts_; }
  uint64_t purges() const { return purges_; }
  PcrValues Pcrs() const;
  void ForcePcrs(const PcrValues& values) { pcrs_ = pcrs_before_ = values; }

  // A file of the directory ima; ENOENT for what this kernel does not have.
  Result<std::unique_ptr<File>> Open(const std::string& name, const std::string& path, bool write);
  bool Has(const std::string& name) const;
  std::vector<std::string> Names() const;

  // Knobs. The first three apply from the next boot on.
  std::string boot_event = "boot_aggregate";
  uint32_t ima_pcr = 10;  // CONFIG_IMA_MEASURE_PCR_IDX
  ByteOrder order = ByteOrder::kLittle;
  bool has_snapshot_file = true;
  bool has_staging = false;  // CONFIG_IMA_STAGING, with or without the snapshot file
  Lie lie = Lie::kNone;
  int write_error = 0;  // the purge's write, or "D", fails with this
  bool purge_although_error = false;
  int records_after_open = 0;  // measured right after each aggregate
  bool extend_lags = false;    // the last record is listed, not yet extended
  // Records that a kernel before a kexec deleted by staging: neither in the total nor
  // in what its aggregates count.
  uint64_t not_counted = 0;

 private:
  friend class SnapshotFile;
  friend class ListFile;
  int EnterList(bool write);
  uint64_t Counter(const std::string& name) const;
  BuiltRecord MakeAggregate(size_t boundary);
  void Extend(const BuiltRecord& record, std::map<std::string, std::map<uint32_t, Digest>>* pcrs);

  std::vector<std::string> banks_;
  std::deque<BuiltRecord> all_;
  size_t purged_ = 0;  // where what is in memory begins: first the staged
  size_t staged_ = 0;
  int readers_ = 0;  // of the lists
  bool writer_ = false;
  uint64_t attempts_ = 0;
  uint64_t purges_ = 0;
  int files_ = 0;
  bool open_ = false;
  PcrValues pcrs_;
  PcrValues pcrs_before_;
};

}  // namespace imasnap::testing

#endif  // IMASNAP_TESTS_FAKE_KERNEL_H_
