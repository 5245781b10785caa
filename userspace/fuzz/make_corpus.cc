// SPDX-License-Identifier: GPL-2.0-or-later
//
// Writes the seeds that are neither written by hand (config, pcr_text) nor a TPM's
// answers (quote: behind the target's first byte, the files of ak create and quote).
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "evidence/evidence_writer.h"
#include "fake_file_system.h"
#include "fake_kernel.h"
#include "log/aggregate.h"
#include "log_builder.h"
#include "store/metadata.h"
#include "verify/checkpoint.h"

namespace imasnap {
namespace {

using testing::BuiltRecord;

class Corpus {
 public:
  explicit Corpus(std::string directory) : directory_(std::move(directory)) {}

  void Write(const std::string& name, std::string_view text) {
    std::ofstream out(directory_ + "/" + name, std::ios::binary);
    out << text;
    good_ = good_ && out.flush().good();
  }
  // `way` is the first byte of the target log.
  void WriteLog(const std::string& name, char way, const Bytes& log) {
    Write("log/" + name, std::string(1, way) + std::string(AsText(log)));
  }
  bool good() const { return good_; }

 private:
  const std::string directory_;
  bool good_ = true;
};

Aggregate SampleAggregate(const std::vector<std::string>& banks) {
  Aggregate aggregate;
  aggregate.attempt = 3;
  aggregate.record_count = 4711;
  aggregate.segment_hash = testing::HashOf(HashAlg::kSha256, "segment");
  for (const std::string& name : banks) {
    Aggregate::BankValues bank;
    bank.name = name;
    for (const uint32_t pcr : {0U, 10U, 23U}) {
      bank.pcrs[pcr] = testing::HashOf(HashFromName(name).value(), std::to_string(pcr));
    }
    aggregate.banks.push_back(bank);
  }
  return aggregate;
}

void WriteLogs(Corpus* corpus) {
  // Records in the order of EveryTemplate(), each alone: what libFuzzer mixes
  // well is small.
  int number = 0;
  for (const BuiltRecord& record : testing::EveryTemplate()) {
    corpus->WriteLog("template-" + std::to_string(number++), '\0', record.Binary());
  }
  const std::vector<BuiltRecord> two = {testing::NgRecord("/a"), testing::ImaRecord("/b")};
  corpus->WriteLog("sha256", '\1', testing::Concatenate(two, HashAlg::kSha256));
  corpus->WriteLog("sha384", '\2', testing::Concatenate(two, HashAlg::kSha384));
  corpus->WriteLog("sha512", '\3', testing::Concatenate(two, HashAlg::kSha512));
  corpus->WriteLog("big-endian", '\4', testing::Concatenate(two, HashAlg::kSha1, ByteOrder::kBig));
  corpus->WriteLog("small-reads", '\x08', testing::Concatenate(two));
  corpus->WriteLog(
      "snapshot", '\0',
      testing::Concatenate(
          {testing::Violation("/v"),
           testing::BufRecord(kAggregateEvent, FormatAggregate(SampleAggregate({"sha256"})))}));
  Bytes cut = testing::Concatenate(two);
  cut.resize(cut.size() - 5);
  corpus->WriteLog("cut", '\0', cut);
}

void WriteMetadata(Corpus* corpus) {
  SessionInfo session;
  session.id = 2;
  session.created = session.kernel = "2026-01-02T03:04:05Z";
  corpus->Write("metadata/session-without-tpm.json", FormatSession(session));
  session.reset_count = 7;
  session.machine = std::string(32, 'a');
  session.boot = std::string(32, 'b');
  corpus->Write("metadata/session.json", FormatSession(session));
  SegmentInfo segment;
  segment.number = 3;
  segment.attempt = 3;
  segment.records = 4711;
  segment.bytes = 584164;
  segment.sha256 = testing::HashOf(HashAlg::kSha256, "segment");
  segment.first_record = 1;
  segment.last_record = 4711;
  segment.taken = "2026-01-02T03:04:05Z";
  segment.kernel = "7.3.0";
  corpus->Write("metadata/segment-without-banks.json", FormatSegment(segment));
  segment.banks = SampleAggregate({"sha1", "sha256"}).banks;
  segment.state = SegmentState::kPurged;
  segment.supersedes = 2;
  corpus->Write("metadata/segment.json", FormatSegment(segment));
}

void WriteStates(Corpus* corpus) {
  Checkpoint checkpoint;
  corpus->Write("state/beginning", FormatCheckpoint(checkpoint));
  checkpoint.identity = {.machine = std::string(32, 'a'),
                         .boot = std::string(32, 'b'),
                         .created = "2026-01-02T03:04:05Z",
                         .reset_count = 7};
  checkpoint.first_record = testing::HashOf(HashAlg::kSha256, "first");
  checkpoint.records = 4711;
  checkpoint.segment = 3;
  checkpoint.segment_sha256 = testing::HashOf(HashAlg::kSha256, "segment");
  checkpoint.aggregates = 3;
  checkpoint.violations = 1;
  checkpoint.attempt = 3;
  checkpoint.aggregate = testing::HashOf(HashAlg::kSha256, "aggregate");
  for (const char* name : {"sha256", "tpm_alg_27"}) {
    const Bank bank = BankFromName(name).value();
    checkpoint.banks.push_back({.bank = bank, .pcrs = {{10, testing::HashOf(bank.alg, name)}}});
  }
  checkpoint.quotes["000b" + std::string(64, 'c')] = {
      .reset_count = 7, .restart_count = 1, .clock = 123456789};
  corpus->Write("state/full", FormatCheckpoint(checkpoint));
}

// A log of two records, whole, and one that begins after a segment.
void WriteEvidences(Corpus* corpus) {
  testing::FakeKernel kernel;
  testing::FakeFileSystem fs(&kernel);
  const Bytes list = testing::Concatenate({testing::NgRecord("boot_aggregate")});
  fs.Write("/list", AsText(list));
  EvidenceParts parts;
  parts.quote = parts.signature = Bytes(8, std::byte{1});
  parts.pcrs = "sha256:\n  10: 0x00\n";
  LogPart part;
  part.open = [&fs] { return fs.OpenFile("/list", OpenMode::kRead); };
  parts.log = {part, part};
  part.segment = 1;
  part.info.emplace();
  part.info->number = 1;
  part.info->attempt = 1;
  parts.log.insert(parts.log.begin(), part);
  const auto write = [&](const std::string& name) {
    std::string text;
    const Status written = WriteEvidence(parts, [&text](ByteView bytes) -> Status {
      text += AsText(bytes);
      return {};
    });
    corpus->Write("evidence/" + name, written.ok() ? text : "");
  };
  write("whole");
  parts.session.emplace();
  parts.log.front().discarded = true;
  write("after-a-segment");
}

bool Run(const std::string& directory) {
  Corpus corpus(directory);
  WriteEvidences(&corpus);
  WriteLogs(&corpus);
  WriteMetadata(&corpus);
  WriteStates(&corpus);
  corpus.Write("aggregate/no-bank", FormatAggregate(SampleAggregate({})));
  corpus.Write("aggregate/one-bank", FormatAggregate(SampleAggregate({"sha256"})));
  corpus.Write("aggregate/three-banks",
               FormatAggregate(SampleAggregate({"sha1", "sha384", "tpm_alg_27"})));
  return corpus.good();
}

}  // namespace
}  // namespace imasnap

int main(int argc, char** argv) {
  if (argc != 2) {
    static_cast<void>(std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]));
    return 2;
  }
  return imasnap::Run(argv[1]) ? 0 : 1;
}
