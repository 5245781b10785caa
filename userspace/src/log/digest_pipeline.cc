// SPDX-License-Identifier: GPL-2.0-or-later
#include "log/digest_pipeline.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "log/aggregate.h"
#include "log/record_format.h"

namespace imasnap {
namespace {

// More threads than this would only wait for the extends.
constexpr unsigned kMaxThreads = 8;
// Batches that are read ahead for each thread, so that one slow batch does not make
// others sleep.
constexpr size_t kBatchesOfThread = 2;
// A batch that held a record of megabytes frees that memory.
constexpr size_t kKeptBytes = size_t{1024} * 1024;

template <typename T>
std::span<const T> Moved(std::span<const T> view, const std::byte* from, const std::byte* to) {
  return view.data() == nullptr ? view : std::span<const T>(to + (view.data() - from), view.size());
}

std::string_view Moved(std::string_view view, const std::byte* from, const std::byte* to) {
  return AsText(Moved(AsBytes(view), from, to));
}

// Makes the views of a record at `from` views of its copy at `to`.
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

DigestPipeline::Limits DigestPipeline::DefaultLimits() {
  const unsigned cores = std::thread::hardware_concurrency();
  return {.threads = cores < 2 ? 0 : std::min(cores - 1, kMaxThreads)};
}

DigestPipeline::DigestPipeline(std::vector<Input> inputs, Options options)
    : inputs_(std::move(inputs)),
      options_(std::move(options)),
      hashers_(options_.algs.begin(), options_.algs.end()) {
  for (const Input& input : inputs_) {
    expected_records_ += input.expected_records;
  }
  batches_.push_back(std::make_unique<RecordBatch>());
  free_.push_back(batches_.back().get());
}

DigestPipeline::~DigestPipeline() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  others_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void DigestPipeline::NextFile() {
  ++begun_;
  at_end_ = false;
  file_hasher_ = Hasher(HashAlg::kSha256);
  hash_ = {};
  batch_ = nullptr;
  next_ = 0;
  records_ = bytes_ = 0;
}

Status DigestPipeline::OpenNext() {
  const Input& input = inputs_[opened_];
  records_before_ += reader_ ? reader_->records() : 0;
  IMASNAP_ASSIGN(std::unique_ptr<ByteSource> source, input.open());
  if (reader_) {
    reader_->Reset(*source, input.name);
  } else {
    reader_.emplace(*source, LogFormat(), input.name, options_.check);
  }
  source_ = std::move(source);
  ++opened_;
  return {};
}

Status DigestPipeline::ReadTo(RecordBatch* batch) {
  if (file_ended_ && opened_ < inputs_.size()) {
    IMASNAP_RETURN_IF_ERROR(OpenNext());
  }
  file_ended_ = false;
  batch->records_before_ = records_before_;
  while (batch->size() < options_.limits.batch_records &&
         batch->raw_.size() < options_.limits.batch_bytes) {
    IMASNAP_ASSIGN(const Record* record, reader_->Next());
    if (record == nullptr) {
      batch->last_ = file_ended_ = true;
      break;
    }
    if (options_.hash_file && IsAggregate(*record)) {
      batch->hash_before_.emplace_back(batch->size(), Digest());
    }
    batch->Add(*record);
  }
  return {};
}

void DigestPipeline::Read(RecordBatch* batch) {
  batch->Clear();
  batch->raw_.reserve(options_.limits.batch_bytes);
  batch->records_.reserve(options_.limits.batch_records);
  Status read = ReadTo(batch);
  if (!read.ok()) {
    batch->error_ = std::move(read.error());
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
      batch->digests_[i * batch->algs_ + alg] = TemplateDigest(record, &(*hashers)[alg]);
    }
  }
  if (options_.work) {
    options_.work(batch);
  }
}

void DigestPipeline::HashFile(RecordBatch* batch) {
  size_t hashed = 0;
  for (auto& [index, hash] : batch->hash_before_) {
    const auto offset = static_cast<size_t>(batch->record(index).raw.data() - batch->raw_.data());
    file_hasher_.Update(batch->raw().subspan(hashed, offset - hashed));
    hash = file_hasher_.Peek();
    hashed = offset;
  }
  file_hasher_.Update(batch->raw().subspan(hashed));
  if (batch->last_) {
    hash_ = file_hasher_.Peek();
  }
}

bool DigestPipeline::ReadStep(Lock* lock) {
  if (!more_ || reading_ || free_.empty()) {
    return false;
  }
  RecordBatch* batch = free_.back();  // whose memory is in the caches
  free_.pop_back();
  reading_ = true;
  lock->unlock();
  Read(batch);
  lock->lock();
  reading_ = false;
  more_ = !batch->error_ && (!batch->last_ || opened_ < inputs_.size());
  in_order_.push_back(batch);
  unworked_.push_back(batch);
  if (in_order_.size() == 1) {
    caller_.notify_one();
  }
  others_.notify_one();
  return true;
}

bool DigestPipeline::WorkStep(Lock* lock, Hashers* hashers) {
  if (unworked_.empty()) {
    return false;
  }
  RecordBatch* batch = unworked_.front();
  unworked_.pop_front();
  lock->unlock();
  Work(batch, hashers);
  lock->lock();
  batch->done_ = true;
  if (in_order_.front() == batch) {
    caller_.notify_one();
  }
  return true;
}

Result<const RecordBatch*> DigestPipeline::NextBatch() {
  if (error_) {
    return *error_;
  }
  if (ends_) {
    ends_ = false;
    at_end_ = true;
    return nullptr;
  }
  if (at_end_ && begun_ < inputs_.size()) {
    return nullptr;
  }
  if (ThreadsPay()) {
    StartThreads();
  }
  Lock lock(mutex_);
  if (given_ != nullptr) {
    free_.push_back(std::exchange(given_, nullptr));
    others_.notify_one();
  }
  more_ = more_ || at_end_;
  at_end_ = false;
  while (in_order_.empty() || !in_order_.front()->done_) {
    if (!WorkStep(&lock, &hashers_) && !ReadStep(&lock)) {
      caller_.wait(lock);
    }
  }
  given_ = in_order_.front();
  in_order_.pop_front();
  lock.unlock();
  error_ = std::move(given_->error_);
  total_ += given_->size();
  if (options_.hash_file) {
    HashFile(given_);
  }
  if (given_->size() > 0) {
    ends_ = given_->last_;
    return given_;
  }
  if (error_) {
    return *error_;
  }
  at_end_ = true;
  return nullptr;
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

bool DigestPipeline::ThreadsPay() const {
  return may_start_ && !at_end_ && options_.limits.threads > 0 &&
         std::max(expected_records_, total_) >= options_.limits.threads_from;
}

void DigestPipeline::StartThreads() {
  may_start_ = false;
  {
    const std::lock_guard lock(mutex_);
    while (batches_.size() < 2 + kBatchesOfThread * options_.limits.threads) {
      batches_.push_back(std::make_unique<RecordBatch>());
      free_.push_back(batches_.back().get());
    }
  }
  try {  // that no further thread can be started is not an error
    while (threads_.size() < options_.limits.threads) {
      threads_.emplace_back([this] { Help(); });
    }
  } catch (const std::system_error&) {
    return;
  }
}

void DigestPipeline::Help() {
  Hashers hashers(options_.algs.begin(), options_.algs.end());
  Lock lock(mutex_);
  while (!stop_) {
    if (!ReadStep(&lock) && !WorkStep(&lock, &hashers)) {
      others_.wait(lock);
    }
  }
}

}  // namespace imasnap
