// SPDX-License-Identifier: GPL-2.0-or-later
#include "digest_pipeline.h"

#include <algorithm>
#include <system_error>

#include "aggregate.h"
#include "record_format.h"

namespace imasnap {
namespace {

// More workers than this wait for the extends.
constexpr unsigned kMaxWorkers = 8;
// A batch that held a record of megabytes gives that memory back.
constexpr size_t kKeptBytes = size_t{1024} * 1024;

template <typename T>
std::span<const T> Moved(std::span<const T> view, const std::byte* from, const std::byte* to) {
  return view.data() == nullptr ? view : std::span<const T>(to + (view.data() - from), view.size());
}

std::string_view Moved(std::string_view view, const std::byte* from, const std::byte* to) {
  return AsText(Moved(AsBytes(view), from, to));
}

// Lets the views of a record at `from` be views of its copy at `to`.
void MoveViews(Record* record, const std::byte* from, const std::byte* to) {
  record->digest = Moved(record->digest, from, to);
  record->template_name = Moved(record->template_name, from, to);
  record->template_data = Moved(record->template_data, from, to);
  record->raw = Moved(record->raw, from, to);
  for (ByteView& field : record->fields) {
    field = Moved(field, from, to);
  }
}

}  // namespace

const Digest* RecordBatch::HashBefore(size_t i) const {
  for (const auto& [index, hash] : hash_before_) {
    if (index == i) {
      return &hash;
    }
  }
  return nullptr;
}

void RecordBatch::Clear() {
  if (raw_.capacity() > kKeptBytes) {
    raw_ = Bytes();
  }
  if (text.capacity() > kKeptBytes) {
    text = std::string();
  }
  if (binary.capacity() > kKeptBytes) {
    binary = Bytes();
  }
  raw_.clear();
  text.clear();
  binary.clear();
  size_ = 0;
  hash_before_.clear();
  error_.reset();
  last_ = done_ = false;
}

void RecordBatch::Add(const Record& record) {
  if (raw_.capacity() - raw_.size() < record.raw.size()) {
    Bytes larger;
    larger.reserve(std::max(2 * raw_.capacity(), raw_.size() + record.raw.size()));
    larger.assign(raw_.begin(), raw_.end());
    for (size_t i = 0; i < size_; ++i) {
      MoveViews(&records_[i], raw_.data(), larger.data());
    }
    raw_.swap(larger);
  }
  if (size_ == records_.size()) {
    records_.emplace_back();
  }
  Record& copy = records_[size_++];
  copy = record;
  AppendBytes(record.raw, &raw_);
  MoveViews(&copy, record.raw.data(), raw_.data() + raw_.size() - record.raw.size());
}

void RecordBatch::Truncate(size_t i, Error error) {
  size_ = i;
  error_ = std::move(error);
}

DigestPipeline::Limits DigestPipeline::DefaultLimits() {
  // The caller and the reader are threads too, but each waits often enough for
  // one worker less than there are cores to do.
  const unsigned cores = std::thread::hardware_concurrency();
  return {.threads = cores < 2 ? 0 : std::min(cores - 1, kMaxWorkers)};
}

DigestPipeline::DigestPipeline(Options options) : options_(std::move(options)) {}

DigestPipeline::~DigestPipeline() { StopThreads(); }

void DigestPipeline::Begin(ByteSource& source, std::string file, uint64_t expected_records) {
  if (threaded_) {
    StopThreads();  // they are in the middle of a file
  }
  if (reader_) {
    reader_->Reset(source, std::move(file));
  } else {
    reader_.emplace(source, LogFormat(), std::move(file), options_.check);
  }
  file_hasher_.reset();
  hash_ = {};
  error_.reset();
  ended_ = false;
  ahead_ = expected_records;
  batch_ = nullptr;
  next_ = 0;
  records_ = bytes_ = 0;
}

Result<DigestPipeline::Hashers> DigestPipeline::MakeHashers() const {
  Hashers hashers;
  for (const HashAlg alg : options_.algs) {
    IMASNAP_ASSIGN(Hasher hasher, Hasher::Create(alg));
    hashers.push_back(std::move(hasher));
  }
  return hashers;
}

void DigestPipeline::HashTo(RecordBatch* batch, size_t offset, size_t* hashed) {
  if (file_hasher_) {
    file_hasher_->Update(batch->raw().subspan(*hashed, offset - *hashed));
    *hashed = offset;
  }
}

void DigestPipeline::Read(RecordBatch* batch) {
  batch->Clear();
  batch->raw_.reserve(options_.limits.batch_bytes);
  batch->records_.reserve(options_.limits.batch_records);
  size_t hashed = 0;
  while (batch->size() < options_.limits.batch_records &&
         batch->raw_.size() < options_.limits.batch_bytes) {
    auto record = reader_->Next();
    if (!record.ok()) {
      batch->error_ = std::move(record.error());
      break;
    }
    if (*record == nullptr) {
      batch->last_ = true;
      break;
    }
    if (file_hasher_ && IsAggregate(**record)) {
      HashTo(batch, batch->raw_.size(), &hashed);
      auto hash = file_hasher_->Peek();
      if (!hash.ok()) {
        batch->error_ = std::move(hash.error());
        break;
      }
      batch->hash_before_.emplace_back(batch->size(), *hash);
    }
    batch->Add(**record);
  }
  HashTo(batch, batch->raw_.size(), &hashed);
  if (file_hasher_) {
    auto hash = file_hasher_->Peek();
    if (hash.ok()) {
      batch->hash_ = *hash;
    } else {
      batch->Truncate(0, std::move(hash.error()));
    }
  }
}

void DigestPipeline::Work(RecordBatch* batch, Hashers* hashers) const {
  batch->algs_ = hashers->size();
  const size_t wanted = batch->size() * batch->algs_;
  if (batch->digests_.size() < wanted) {
    batch->digests_.resize(wanted);
  }
  for (size_t i = 0; i < batch->size() && batch->algs_ > 0; ++i) {
    const Record& record = batch->record(i);
    if (record.IsViolation()) {
      continue;
    }
    for (size_t alg = 0; alg < batch->algs_; ++alg) {
      const auto digest = TemplateDigest(record, &(*hashers)[alg]);
      if (!digest.ok()) {
        batch->Truncate(i, digest.error());
        break;
      }
      batch->digests_[i * batch->algs_ + alg] = *digest;
    }
  }
  if (options_.work) {
    options_.work(batch);
  }
}

Result<const RecordBatch*> DigestPipeline::NextBatch() {
  if (error_) {
    return *error_;
  }
  if (ended_) {
    ended_ = false;
    return nullptr;
  }
  if (options_.hash_file && !file_hasher_) {
    IMASNAP_ASSIGN(file_hasher_, Hasher::Create(HashAlg::kSha256));
  }
  if (!hashers_) {
    IMASNAP_ASSIGN(hashers_, MakeHashers());
  }
  if (!threaded_ && ThreadsPay()) {
    threaded_ = StartThreads();
  }
  return threaded_ ? NextOfThreads() : NextAlone();
}

Result<const Record*> DigestPipeline::Next() {
  if (batch_ == nullptr || next_ == batch_->size()) {
    batch_ = nullptr;
    next_ = 0;
    IMASNAP_ASSIGN(batch_, NextBatch());
    if (batch_ == nullptr) {
      return nullptr;
    }
  }
  const Record& record = batch_->record(next_++);
  records_ = record.number;
  bytes_ = record.offset + record.raw.size();
  return &record;
}

Result<const RecordBatch*> DigestPipeline::NextAlone() {
  Read(&own_);
  Work(&own_, &*hashers_);
  ahead_ += own_.size();
  return Give(&own_);
}

Result<const RecordBatch*> DigestPipeline::Give(RecordBatch* batch) {
  error_ = std::move(batch->error_);
  hash_ = batch->hash_;
  total_ += batch->size();
  if (batch->last_) {
    ahead_ = 0;
  }
  if (batch->size() > 0) {
    ended_ = batch->last_;
    return batch;
  }
  if (error_) {
    return *error_;
  }
  return nullptr;
}

Result<const RecordBatch*> DigestPipeline::NextOfThreads() {
  RecordBatch* batch = nullptr;
  {
    std::unique_lock lock(mutex_);
    if (given_ != nullptr) {
      free_.push_back(given_);
      freed_.notify_one();
    }
    finished_.wait(lock, [this] { return !in_order_.empty() && in_order_.front()->done_; });
    batch = in_order_.front();
    in_order_.pop_front();
  }
  given_ = batch;
  if (batch->last_ || batch->error_) {
    threaded_ = false;  // they wait: what comes later of this file is read without them
  }
  return Give(batch);
}

bool DigestPipeline::ThreadsPay() const {
  const Limits& limits = options_.limits;
  return limits.threads > 0 && std::max(options_.expected_records, total_) >= limits.threads_from &&
         ahead_ >= std::min(limits.threads_from, limits.threads_from_in_file);
}

// Has them read this file; false where there are none.
bool DigestPipeline::StartThreads() {
  if (!threads_.empty()) {
    const std::lock_guard lock(mutex_);
    read_ = true;
    freed_.notify_one();
    return true;
  }
  const unsigned workers = options_.limits.threads;
  // One for the reader, one for the caller, and two for each worker: the one
  // that it works on and one that waits.
  while (batches_.size() < 2 + 2 * size_t{workers}) {
    batches_.push_back(std::make_unique<RecordBatch>());
  }
  std::vector<Hashers> hashers;
  for (unsigned i = 0; i < workers; ++i) {
    auto made = MakeHashers();
    if (!made.ok()) {
      return false;  // the caller's own will do
    }
    hashers.push_back(std::move(*made));
  }
  for (const auto& batch : batches_) {
    free_.push_back(batch.get());
  }
  read_ = true;
  stop_ = false;
  try {  // a machine without room for another thread is no error
    for (Hashers& of_worker : hashers) {
      threads_.emplace_back(
          [this, h = std::move(of_worker)]() mutable { WorkerThread(std::move(h)); });
    }
    threads_.emplace_back([this] { ReaderThread(); });
  } catch (const std::system_error&) {
    StopThreads();
    return false;
  }
  return true;
}

void DigestPipeline::StopThreads() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  freed_.notify_all();
  queued_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
  threads_.clear();
  free_.clear();
  to_do_.clear();
  in_order_.clear();
  given_ = nullptr;
  threaded_ = read_ = false;
}

void DigestPipeline::ReaderThread() {
  while (true) {
    RecordBatch* batch = nullptr;
    {
      std::unique_lock lock(mutex_);
      freed_.wait(lock, [this] { return stop_ || (read_ && !free_.empty()); });
      if (stop_) {
        return;
      }
      batch = free_.front();
      free_.pop_front();
    }
    Read(batch);
    {
      const std::lock_guard lock(mutex_);
      read_ = !batch->last_ && !batch->error_;
      to_do_.push_back(batch);
      in_order_.push_back(batch);
    }
    queued_.notify_one();
  }
}

void DigestPipeline::WorkerThread(Hashers hashers) {
  while (true) {
    RecordBatch* batch = nullptr;
    {
      std::unique_lock lock(mutex_);
      queued_.wait(lock, [this] { return stop_ || !to_do_.empty(); });
      if (stop_) {
        return;
      }
      batch = to_do_.front();
      to_do_.pop_front();
    }
    Work(batch, &hashers);
    bool awaited = false;
    {
      const std::lock_guard lock(mutex_);
      batch->done_ = true;
      awaited = in_order_.front() == batch;
    }
    if (awaited) {
      finished_.notify_one();
    }
  }
}

}  // namespace imasnap
