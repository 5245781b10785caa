// SPDX-License-Identifier: GPL-2.0-or-later
#include "fake_kernel.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>

namespace imasnap::testing {
namespace {

// What every file of the kernel answers to calls it does not have.
class KernelFile : public File {
 public:
  using File::File;
  Result<size_t> ReadSomeAt(uint64_t, std::span<std::byte>) override {
    return SystemError(path(), "pread", ESPIPE);
  }
  Result<size_t> WriteSome(ByteView) override { return SystemError(path(), "write", EINVAL); }
  Result<uint64_t> Seek(uint64_t) override { return SystemError(path(), "lseek", ESPIPE); }
  Status Sync() override { return SystemError(path(), "fsync", EINVAL); }
  Result<FileInfo> Stat() override { return FileInfo{FileType::kRegular, 0, 0440, 0}; }
  Status TryLock(LockMode) override { return SystemError(path(), "flock", EINVAL); }
  Status Close() override { return {}; }
};

// Each read formats the value that it has then, as the kernel's do.
class CounterFile : public KernelFile {
 public:
  CounterFile(std::string path, std::function<uint64_t()> value)
      : KernelFile(std::move(path)), value_(std::move(value)) {}
  Result<size_t> ReadSome(std::span<std::byte> out) override {
    const std::string text = std::to_string(value_()) + "\n";
    SpanSource rest(AsBytes(text).subspan(std::min(at_, text.size())));
    IMASNAP_ASSIGN(const size_t n, rest.Read(out));
    at_ += n;
    return n;
  }

 private:
  const std::function<uint64_t()> value_;
  size_t at_ = 0;
};

}  // namespace

// Either list. Keeps its place by counting from the first record ever, as the
// series does.
class ListFile : public KernelFile {
 public:
  ListFile(std::string path, FakeKernel* kernel, bool staged, bool write)
      : KernelFile(std::move(path)), kernel_(kernel), staged_(staged), write_(write) {}
  ~ListFile() override { Release(); }

  Result<size_t> ReadSome(std::span<std::byte> out) override {
    const size_t middle = kernel_->purged_ + kernel_->staged_;
    const size_t begin = staged_ ? kernel_->purged_ : middle;
    const size_t end = staged_ ? middle : kernel_->all_.size();
    if (pending_.empty() && next_ < begin) {
      // Once, if it has read any: at its beginning there is no hole.
      if (std::exchange(next_, 0) > 0) {
        return SystemError(path(), "read", ESTALE);
      }
      next_ = begin;
    }
    if (pending_.empty() && next_ < end) {
      pending_ = kernel_->all_[next_++].Binary(HashAlg::kSha1, kernel_->order);
    }
    // Never more than one record, and never more than 500 bytes of it.
    const size_t n = std::min({out.size(), pending_.size(), size_t{500}});
    std::copy_n(pending_.begin(), n, out.begin());
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(n));
    return n;
  }

  Result<size_t> WriteSome(ByteView bytes) override {
    const std::string_view request = AsText(bytes);
    int error = EINVAL;
    if (write_ && staged_ && request == "A\n") {
      error = kernel_->Stage();
    } else if (write_ && staged_ && request == "D\n") {
      error = kernel_->DeleteStaged();
    }
    if (error != 0) {
      return SystemError(path(), "write", error);
    }
    return bytes.size();
  }

  Result<uint64_t> Seek(uint64_t offset) override {
    if (offset != 0) {
      return SystemError(path(), "lseek", EINVAL);
    }
    next_ = 0;
    pending_.clear();
    return offset;
  }

  Status Close() override {
    Release();
    return {};
  }

 private:
  void Release() {
    if (open_ && write_) {
      kernel_->writer_ = false;
    } else if (open_) {
      --kernel_->readers_;
    }
    open_ = false;
  }

  FakeKernel* kernel_;
  const bool staged_;
  const bool write_;
  bool open_ = true;
  size_t next_ = 0;
  Bytes pending_;
};

class SnapshotFile : public KernelFile {
 public:
  SnapshotFile(std::string path, FakeKernel* kernel)
      : KernelFile(std::move(path)), kernel_(kernel), boundary_(kernel->all_.size()) {
    kernel_->open_ = true;
    bytes_ = kernel_->InMemory();
    if (kernel_->lie == Lie::kOtherBytes) {
      bytes_[4] ^= std::byte{1};  // of the first record's digest
    }
    if (kernel_->lie != Lie::kNoAggregate) {
      kernel_->Measure(kernel_->MakeAggregate(boundary_));
    }
    kernel_->MeasureFiles(kernel_->records_after_open);
  }
  ~SnapshotFile() override {
    kernel_->open_ = false;
    --kernel_->readers_;
  }

  Result<size_t> ReadSome(std::span<std::byte> out) override {
    if (purged_) {
      return size_t{0};
    }
    const size_t n = std::min({out.size(), bytes_.size() - at_, size_t{1000}});
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(at_), n, out.begin());
    at_ += n;
    at_end_ = at_end_ || n == 0;
    return n;
  }

  Result<size_t> WriteSome(ByteView bytes) override {
    if (bytes.empty()) {
      return size_t{0};
    }
    if (!at_end_) {
      return SystemError(path(), "write", EPROTO);
    }
    if (purged_) {
      return SystemError(path(), "write", EALREADY);
    }
    if (kernel_->write_error != 0 && !kernel_->purge_although_error) {
      return SystemError(path(), "write", kernel_->write_error);
    }
    kernel_->purged_ = boundary_;
    ++kernel_->purges_;
    purged_ = true;
    if (kernel_->write_error != 0) {
      return SystemError(path(), "write", kernel_->write_error);
    }
    return bytes.size();
  }

 private:
  FakeKernel* kernel_;
  const size_t boundary_;
  Bytes bytes_;
  size_t at_ = 0;
  bool at_end_ = false;
  bool purged_ = false;
};

FakeKernel::FakeKernel(std::vector<std::string> banks) : banks_(std::move(banks)) { Boot(); }

void FakeKernel::Boot() {
  all_.clear();
  purged_ = attempts_ = purges_ = not_counted = 0;
  staged_ = 0;
  open_ = false;
  pcrs_.clear();
  for (const std::string& bank : banks_) {
    const size_t size = *KernelDigestSize(bank);
    for (uint32_t pcr = 0; pcr < 24; ++pcr) {
      const bool ones = pcr >= 17 && pcr <= 22;
      pcrs_[bank][pcr] = Digest::Filled(size, static_cast<std::byte>(ones ? 0xff : 0));
    }
  }
  pcrs_before_ = pcrs_;
  Measure(NgRecord(boot_event, ima_pcr));
}

void FakeKernel::Kexec(size_t lost) {
  staged_ = 0;
  all_.resize(all_.size() - lost);
  Measure(NgRecord(boot_event, ima_pcr));
}

int FakeKernel::Stage() {
  if (staged_ > 0) {
    return EEXIST;
  }
  if (in_memory() == 0) {
    return ENOENT;
  }
  staged_ = in_memory();
  MeasureFiles(records_after_open);
  return 0;
}

int FakeKernel::DeleteStaged() {
  if (staged_ == 0) {
    return ENOENT;
  }
  if (write_error != 0 && !purge_although_error) {
    return write_error;
  }
  purged_ += staged_;
  staged_ = 0;
  ++purges_;
  return write_error;
}

// Readers of the lists and one writer to them exclude each other.
int FakeKernel::EnterList(bool write) {
  if (writer_ || (write && readers_ > 0)) {
    return EBUSY;
  }
  writer_ = write;
  readers_ += write ? 0 : 1;
  return 0;
}

void FakeKernel::Extend(const BuiltRecord& record, PcrValues* pcrs) {
  for (const std::string& bank : banks_) {
    const HashAlg alg = *HashFromName(bank);
    Digest& value = (*pcrs)[bank][record.pcr];
    Bytes both;
    AppendBytes(value.view(), &both);
    const Digest digest = record.violation ? Digest::Filled(DigestSize(alg), std::byte{0xff})
                                           : record.TemplateDigest(alg, order);
    AppendBytes(digest.view(), &both);
    value = HashOf(alg, both);
  }
}

void FakeKernel::Measure(const BuiltRecord& record) {
  all_.push_back(record);
  pcrs_before_ = pcrs_;
  Extend(record, &pcrs_);
}

void FakeKernel::MeasureFiles(int count) {
  for (int i = 0; i < count; ++i) {
    ++files_;
    if (files_ % 5 == 0) {
      BuiltRecord violation = Violation("/violated/" + std::to_string(files_));
      violation.pcr = ima_pcr;
      Measure(violation);
    } else {
      Measure(NgRecord("/file/" + std::to_string(files_), files_ % 7 == 0 ? 11 : ima_pcr));
    }
  }
}

BuiltRecord FakeKernel::MakeAggregate(size_t boundary) {
  Aggregate aggregate;
  aggregate.attempt = ++attempts_;
  aggregate.record_count = boundary - not_counted;
  aggregate.segment_hash = HashOf(HashAlg::kSha256, InMemory());
  if (lie == Lie::kSegmentHash) {
    aggregate.segment_hash.bytes[0] ^= std::byte{1};
  }
  for (const std::string& bank : banks_) {
    aggregate.banks.push_back({bank, pcrs_[bank]});
  }
  if (lie == Lie::kOtherRecord) {
    return NgRecord("snapshot_aggregate", ima_pcr);
  }
  BuiltRecord record =
      BufRecord("snapshot_aggregate",
                lie == Lie::kGarbledText ? "Snapshot_Attempt_Count=?" : FormatAggregate(aggregate));
  record.pcr = ima_pcr;
  return record;
}

Bytes FakeKernel::Everything() const {
  Bytes out;
  for (const BuiltRecord& record : all_) {
    AppendBytes(record.Binary(HashAlg::kSha1, order), &out);
  }
  return out;
}

Bytes FakeKernel::InMemory() const {
  Bytes out;
  for (size_t i = purged_; i < all_.size(); ++i) {
    AppendBytes(all_[i].Binary(HashAlg::kSha1, order), &out);
  }
  return out;
}

Bytes FakeKernel::Staged() const {
  Bytes out;
  for (size_t i = purged_; i < purged_ + staged_; ++i) {
    AppendBytes(all_[i].Binary(HashAlg::kSha1, order), &out);
  }
  return out;
}

PcrValues FakeKernel::Pcrs() const { return extend_lags ? pcrs_before_ : pcrs_; }

std::vector<std::string> FakeKernel::Names() const {
  std::vector<std::string> names = {"binary_runtime_measurements", "runtime_measurements_count",
                                    "violations"};
  if (has_snapshot_file) {
    // The counters came with the file: a stock kernel's staging has none.
    names.insert(names.end(),
                 {"snapshot", "runtime_measurements_size", "runtime_measurements_total",
                  "snapshot_attempts", "snapshot_purges"});
  }
  if (has_staging) {
    names.emplace_back("binary_runtime_measurements_staged");
  }
  return names;
}

bool FakeKernel::Has(const std::string& name) const {
  const auto names = Names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<std::unique_ptr<File>> FakeKernel::Open(const std::string& name, const std::string& path,
                                               bool write) {
  if (!Has(name)) {
    return SystemError(path, "open", ENOENT);
  }
  if (name == "snapshot") {
    if (!write) {
      return SystemError(path, "open", EINVAL);
    }
    // It counts as a reader of the lists.
    if (open_ || staged_ > 0 || EnterList(false) != 0) {
      return SystemError(path, "open", EBUSY);
    }
    return std::unique_ptr<File>(new SnapshotFile(path, this));
  }
  if (name.starts_with("binary_runtime_measurements")) {
    if (write && !has_staging) {
      return SystemError(path, "open", EACCES);
    }
    if (const int error = EnterList(write); error != 0) {
      return SystemError(path, "open", error);
    }
    return std::unique_ptr<File>(new ListFile(path, this, name.ends_with("_staged"), write));
  }
  return std::unique_ptr<File>(new CounterFile(path, [this, name] { return Counter(name); }));
}

uint64_t FakeKernel::Counter(const std::string& name) const {
  if (name == "runtime_measurements_count") {
    return in_memory() - staged_;
  }
  if (name == "runtime_measurements_size") {
    return InMemory().size() - Staged().size();
  }
  if (name == "runtime_measurements_total") {
    return total() - not_counted;
  }
  if (name == "snapshot_attempts") {
    return attempts_;
  }
  return name == "snapshot_purges" ? purges_ : 0;
}

}  // namespace imasnap::testing
