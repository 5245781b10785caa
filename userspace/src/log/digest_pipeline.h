// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads the records of the files of a log in batches, and computes for each record what
// does not depend on the records before it, on several threads if that is faster.
//
//   read    parse, copy the records of a batch together: one thread at a time
//   work    template digests in every algorithm, then `Options::work`
//   caller  gets the batches in order, and hashes the file's bytes, for that is a
//           chain as extends are; while none is ready, it works or reads itself
//
// The results do not depend on the number of threads.
#ifndef IMASNAP_LOG_DIGEST_PIPELINE_H_
#define IMASNAP_LOG_DIGEST_PIPELINE_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "log/log_reader.h"

namespace imasnap {

// Consecutive records and what was computed of them.
class RecordBatch {
 public:
  size_t size() const { return size_; }
  const Record& record(size_t i) const { return records_[i]; }
  // The bytes of all its records.
  ByteView raw() const { return raw_; }
  // Template digests of record i in the order of Options::algs; undefined for a
  // violation.
  std::span<const Digest> digests(size_t i) const {
    return std::span(digests_).subspan(i * algs_, algs_);
  }
  // With Options::hash_file the SHA-256 of the file up to record i, which must
  // be an aggregate; nothing for another record.
  const Digest* HashBefore(size_t i) const;
  // How many records the files before this one have.
  uint64_t records_before() const { return records_before_; }
  // Options::work writes its results here.
  std::string text;
  Bytes binary;

 private:
  friend class DigestPipeline;

  void Clear();
  void Add(const Record& record);

  Bytes raw_;
  std::vector<Record> records_;  // more than size_ keep their memory
  size_t size_ = 0;
  std::vector<Digest> digests_;
  size_t algs_ = 0;
  uint64_t records_before_ = 0;
  std::vector<std::pair<size_t, Digest>> hash_before_;  // of each aggregate
  std::optional<Error> error_;                          // met after the last record
  bool last_ = false;                                   // the file ended after it
  bool done_ = false;                                   // it may be given to the caller
};

class DigestPipeline {
 public:
  // A file of the log.
  struct Input {
    std::string name;  // for errors
    // Called once, when its turn comes, on any thread.
    std::function<Result<std::unique_ptr<ByteSource>>()> open;
    uint64_t expected_records = 0;  // an estimate
  };

  struct Limits {
    unsigned threads = 0;  // besides the caller's
    // The number of records from which on threads save more than they cost.
    uint64_t threads_from = 4096;
    size_t batch_records = 128;
    size_t batch_bytes = size_t{64} * 1024;
  };
  // For this machine.
  static Limits DefaultLimits();

  struct Options {
    std::vector<HashAlg> algs;  // digests to compute of each record
    LogReader::Check check = LogReader::Check::kStrict;
    bool hash_file = false;
    // More to do for each batch; called on several threads at once.
    std::function<void(RecordBatch*)> work;
    Limits limits = DefaultLimits();
  };

  DigestPipeline(std::vector<Input> inputs, Options options);
  DigestPipeline(const DigestPipeline&) = delete;
  DigestPipeline& operator=(const DigestPipeline&) = delete;
  ~DigestPipeline();

  // Goes to the next file, which must exist. To be called before the first read, and
  // after null was returned for the file before.
  void NextFile();

  // The next batch of the file, or null at its end. A batch has at least one record and
  // is valid until the next call. After null it may be called again, because the last
  // file may have grown. All records before an error are returned first; then each call
  // returns the error.
  Result<const RecordBatch*> NextBatch();

  // The records of the batches one by one, as LogReader gives them.
  Result<const Record*> Next();
  uint64_t records() const { return records_; }
  uint64_t bytes() const { return bytes_; }
  // Of the record that Next() returned last.
  std::span<const Digest> digests() const { return batch_->digests(next_ - 1); }
  const Digest* HashBefore() const { return batch_->HashBefore(next_ - 1); }
  // With Options::hash_file: the SHA-256 of the file, once its end was reached.
  const Digest& hash() const { return hash_; }

 private:
  // Hashers of one thread, in the order of Options::algs.
  using Hashers = std::vector<Hasher>;
  using Lock = std::unique_lock<std::mutex>;

  bool ThreadsPay() const;
  void StartThreads();
  void Help();
  // Each does one step, without the lock; false if there is nothing to do at the
  // moment.
  bool ReadStep(Lock* lock);
  bool WorkStep(Lock* lock, Hashers* hashers);

  // Of the thread that reads.
  Status OpenNext();
  // Reads until the batch is full, the file ends or an error occurs.
  void Read(RecordBatch* batch);
  Status ReadTo(RecordBatch* batch);
  void Work(RecordBatch* batch, Hashers* hashers) const;
  void HashFile(RecordBatch* batch);

  const std::vector<Input> inputs_;
  const Options options_;
  uint64_t expected_records_ = 0;

  // Of the thread that reads.
  size_t opened_ = 0;  // inputs
  std::unique_ptr<ByteSource> source_;
  std::optional<LogReader> reader_;
  uint64_t records_before_ = 0;
  bool file_ended_ = true;

  // Of the caller.
  Hashers hashers_;
  size_t begun_ = 0;  // inputs
  RecordBatch* given_ = nullptr;
  std::optional<Error> error_;  // to be returned by the next call
  bool ends_ = false;           // the file does, with what was given: null is next
  bool at_end_ = false;         // null was given
  uint64_t total_ = 0;          // records given, of all files
  Hasher file_hasher_{HashAlg::kSha256};
  Digest hash_;
  // The position of Next().
  const RecordBatch* batch_ = nullptr;
  size_t next_ = 0;
  uint64_t records_ = 0;
  uint64_t bytes_ = 0;

  std::vector<std::unique_ptr<RecordBatch>> batches_;
  std::vector<std::thread> threads_;
  bool may_start_ = true;

  std::mutex mutex_;
  // Waking a thread is expensive, so there are two: the caller waits for the first
  // batch of in_order_ or, like the other threads, for something to read.
  std::condition_variable caller_;
  std::condition_variable others_;
  std::vector<RecordBatch*> free_;
  std::deque<RecordBatch*> in_order_;  // as read
  std::deque<RecordBatch*> unworked_;  // of these
  bool reading_ = false;               // a thread is
  bool more_ = true;                   // to read
  bool stop_ = false;
};

}  // namespace imasnap

#endif  // IMASNAP_LOG_DIGEST_PIPELINE_H_
