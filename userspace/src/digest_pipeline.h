// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads the records of one file after the other in batches and computes for each
// record what does not depend on the records before it, on several threads where
// that pays.
//
//   reader   parses, copies the records of a batch together, and hashes the
//            file's bytes, which is a chain
//   workers  template digests in every algorithm, then `Options::work`
//   caller   gets the batches in the file's order: extends are a chain too
//
// What the caller sees does not depend on the number of threads.
#ifndef IMASNAP_DIGEST_PIPELINE_H_
#define IMASNAP_DIGEST_PIPELINE_H_

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

#include "hash.h"
#include "log_reader.h"
#include "result.h"

namespace imasnap {

// Consecutive records and what was computed of them.
class RecordBatch {
 public:
  size_t size() const { return size_; }
  const Record& record(size_t i) const { return records_[i]; }
  // The bytes of all its records.
  ByteView raw() const { return raw_; }
  // Template digests of record i in the order of Options::algs; what they are
  // for a violation is not defined.
  std::span<const Digest> digests(size_t i) const {
    return std::span(digests_).subspan(i * algs_, algs_);
  }
  // With Options::hash_file the SHA-256 of the file up to record i, which must
  // be an aggregate; nothing for another record.
  const Digest* HashBefore(size_t i) const;
  // For what Options::work makes of the records.
  std::string text;
  Bytes binary;

 private:
  friend class DigestPipeline;

  void Clear();
  void Add(const Record& record);
  // Drops record i and what follows it.
  void Truncate(size_t i, Error error);

  Bytes raw_;
  std::vector<Record> records_;  // more than size_ keep their memory
  size_t size_ = 0;
  std::vector<Digest> digests_;
  size_t algs_ = 0;
  std::vector<std::pair<size_t, Digest>> hash_before_;
  Digest hash_;                 // of the file up to its end
  std::optional<Error> error_;  // met after the last record
  bool last_ = false;           // nothing came after it
  bool done_ = false;
};

class DigestPipeline {
 public:
  struct Limits {
    unsigned threads = 0;  // workers; 0: none, the caller does it all
    // Records, of all files and of one, from which on threads save more than they
    // cost, which is waking each other and memory that is touched once.
    uint64_t threads_from = 8192;
    size_t batch_records = 256;
    size_t batch_bytes = size_t{128} * 1024;
    uint64_t threads_from_in_file = 2048;
  };
  // For this machine.
  static Limits DefaultLimits();

  struct Options {
    std::vector<HashAlg> algs;  // digests to compute of each record
    LogReader::Check check = LogReader::Check::kStrict;
    bool hash_file = false;
    // More to do for each batch; called on several threads at once.
    std::function<void(RecordBatch*)> work;
    // How many records there will be in all files, as far as one knows.
    uint64_t expected_records = 0;
    Limits limits = DefaultLimits();
  };

  explicit DigestPipeline(Options options);
  DigestPipeline(const DigestPipeline&) = delete;
  DigestPipeline& operator=(const DigestPipeline&) = delete;
  ~DigestPipeline();

  // Begins with a file, also when the one before was not read to its end; memory
  // and threads are kept. `source` must not be used by others, and stay until the
  // next Begin() or the end of the pipeline. `file` is the name errors give.
  void Begin(ByteSource& source, std::string file, uint64_t expected_records = 0);

  // After Begin(): the next batch, which stays valid until the next call and has a
  // record at least, or null at the end of the source. After null it may be called
  // again: a source that grew continues. An error comes after all records before it.
  Result<const RecordBatch*> NextBatch();

  // The records of the batches one by one, as LogReader gives them.
  Result<const Record*> Next();
  uint64_t records() const { return records_; }
  uint64_t bytes() const { return bytes_; }
  // Of the record that Next() returned last.
  std::span<const Digest> digests() const { return batch_->digests(next_ - 1); }
  const Digest* HashBefore() const { return batch_->HashBefore(next_ - 1); }
  // With Options::hash_file the SHA-256 of all batches given so far: of the file,
  // after its end was met.
  const Digest& hash() const { return hash_; }

 private:
  // Hashers of one thread.
  using Hashers = std::vector<Hasher>;

  Result<Hashers> MakeHashers() const;
  // Reads until the batch is full, the source ends or an error is met.
  void Read(RecordBatch* batch);
  void HashTo(RecordBatch* batch, size_t offset, size_t* hashed);
  void Work(RecordBatch* batch, Hashers* hashers) const;
  Result<const RecordBatch*> NextAlone();
  Result<const RecordBatch*> NextOfThreads();
  Result<const RecordBatch*> Give(RecordBatch* batch);

  bool ThreadsPay() const;
  bool StartThreads();
  void StopThreads();
  void ReaderThread();
  void WorkerThread(Hashers hashers);

  const Options options_;
  std::optional<LogReader> reader_;
  std::optional<Hasher> file_hasher_;
  std::optional<Hashers> hashers_;  // the caller's
  RecordBatch own_;
  std::optional<Error> error_;  // to be returned by the next call
  bool ended_ = false;          // so is null
  uint64_t total_ = 0;          // records given, of all files
  uint64_t ahead_ = 0;          // of this file, as expected, or read since its end was met
  bool threaded_ = false;       // the threads read it
  Digest hash_;

  // What Next() is at.
  const RecordBatch* batch_ = nullptr;
  size_t next_ = 0;
  uint64_t records_ = 0;
  uint64_t bytes_ = 0;

  std::vector<std::unique_ptr<RecordBatch>> batches_;
  std::vector<std::thread> threads_;
  RecordBatch* given_ = nullptr;  // of batches_, in the caller's hands

  std::mutex mutex_;
  // Each has one kind of thread waiting: waking another one is dear.
  std::condition_variable freed_;     // the reader, for free_ and read_
  std::condition_variable queued_;    // workers, for to_do_
  std::condition_variable finished_;  // the caller, for the first of in_order_
  std::deque<RecordBatch*> free_;
  std::deque<RecordBatch*> to_do_;
  std::deque<RecordBatch*> in_order_;
  bool read_ = false;  // the reader's thread is to read
  bool stop_ = false;
};

}  // namespace imasnap

#endif  // IMASNAP_DIGEST_PIPELINE_H_
