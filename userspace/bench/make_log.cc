// SPDX-License-Identifier: GPL-2.0-or-later
//
// Makes a store, a kernel's directory and the PCRs of a machine that measured a
// given number of records and took a given number of snapshots: the same bytes
// for the same arguments. Records are ima-ng and ima-sig, some of the latter
// with a signature as evmctl makes them with an RSA-2048 key, a few violations,
// and the aggregates.
//
//   DIR/store                      the segments
//   DIR/securityfs, DIR/pcr-BANK   the kernel's side, where PCRs are as in sysfs
//   DIR/later/...                  the same after more records, if any
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "log/aggregate.h"
#include "log/record_format.h"
#include "log/replay.h"
#include "store/segment_writer.h"
#include "store/store.h"

namespace imasnap {
namespace {

constexpr uint32_t kPcr = 10;  // CONFIG_IMA_MEASURE_PCR_IDX

struct Arguments {
  std::string directory;
  uint64_t records = 10000;  // aggregates included
  uint64_t segments = 10;
  uint64_t live = 1000;  // of the records, in the kernel
  uint64_t later = 0;    // records measured after those
  std::vector<std::string> banks = {"sha256"};
  uint64_t seed = 1;
};

// A list or a segment that is written as `take` writes one.
class OutFile {
 public:
  static Result<OutFile> Create(FileSystem& fs, const std::string& path) {
    OutFile out;
    IMASNAP_ASSIGN(out.file_, fs.OpenFile(path, OpenMode::kCreate));
    out.writer_.emplace(*out.file_);
    return out;
  }
  Status Append(ByteView bytes) { return writer_->Append(bytes); }
  Status Finish() {
    IMASNAP_ASSIGN(sha256_, writer_->Finish());
    return {};
  }
  uint64_t bytes() const { return writer_->bytes(); }
  const Digest& sha256() const { return sha256_; }

 private:
  std::unique_ptr<File> file_;
  std::optional<SegmentWriter> writer_;
  Digest sha256_;
};

Status WriteText(FileSystem& fs, const std::string& path, std::string_view text) {
  IMASNAP_ASSIGN(const std::unique_ptr<File> file, fs.OpenFile(path, OpenMode::kCreate));
  return file->WriteAll(AsBytes(text));
}

class Machine {
 public:
  static Result<Machine> Create(FileSystem& fs, const Arguments& arguments) {
    std::vector<Bank> banks;
    for (const std::string& name : arguments.banks) {
      const auto bank = BankFromName(name);
      if (!bank) {
        return MakeError(ErrorCode::kUsage, fmt::format("no bank is called {}", name));
      }
      banks.push_back(*bank);
    }
    return Machine(fs, arguments, Replay(banks));
  }

  Status Run() {
    Store store(fs_, arguments_.directory + "/store");
    SessionInfo info;
    info.id = 1;
    info.created = "2026-01-02T03:04:05Z";
    info.kernel = "bench";
    IMASNAP_ASSIGN(const Session session, store.CreateSession(info));
    const uint64_t stored = arguments_.records - arguments_.live;
    for (uint64_t n = 1; n <= arguments_.segments; ++n) {
      IMASNAP_RETURN_IF_ERROR(
          Segment(store, session, n, stored * n / arguments_.segments - replay_.records()));
    }
    IMASNAP_ASSIGN(OutFile live, OpenKernel(arguments_.directory));
    IMASNAP_ASSIGN(std::optional<OutFile> later, OpenLater());
    IMASNAP_RETURN_IF_ERROR(Measure(arguments_.live, {&live, later ? &*later : nullptr}));
    IMASNAP_RETURN_IF_ERROR(live.Finish());
    IMASNAP_RETURN_IF_ERROR(WriteState(arguments_.directory));
    if (later) {
      IMASNAP_RETURN_IF_ERROR(Measure(arguments_.later, {&*later}));
      IMASNAP_RETURN_IF_ERROR(later->Finish());
      IMASNAP_RETURN_IF_ERROR(WriteState(arguments_.directory + "/later"));
    }
    return {};
  }

 private:
  Machine(FileSystem& fs, const Arguments& arguments, Replay replay)
      : fs_(fs), arguments_(arguments), replay_(std::move(replay)), random_(arguments.seed) {
    for (const HashAlg alg : replay_.DigestAlgs(HashAlg::kSha1)) {
      hashers_.emplace_back(alg);
    }
  }

  Result<OutFile> OpenKernel(const std::string& directory) {
    const std::string ima = directory + "/securityfs/ima";
    IMASNAP_RETURN_IF_ERROR(fs_.MakeDirectories(ima));
    IMASNAP_RETURN_IF_ERROR(WriteText(fs_, ima + "/snapshot", ""));
    return OutFile::Create(fs_, ima + "/binary_runtime_measurements");
  }

  Result<std::optional<OutFile>> OpenLater() {
    if (arguments_.later == 0) {
      return std::optional<OutFile>();
    }
    IMASNAP_ASSIGN(OutFile later, OpenKernel(arguments_.directory + "/later"));
    return std::optional<OutFile>(std::move(later));
  }

  // The kernel's counters and the TPM's PCRs.
  Status WriteState(const std::string& directory) {
    const uint64_t live = replay_.records() - in_segments_;
    const auto counter = [&](const char* name, uint64_t value) {
      return WriteText(fs_, fmt::format("{}/securityfs/ima/{}", directory, name),
                       fmt::format("{}\n", value));
    };
    IMASNAP_RETURN_IF_ERROR(counter("runtime_measurements_count", live));
    IMASNAP_RETURN_IF_ERROR(counter("runtime_measurements_total", replay_.records()));
    IMASNAP_RETURN_IF_ERROR(counter("violations", replay_.violations()));
    IMASNAP_RETURN_IF_ERROR(counter("snapshot_attempts", arguments_.segments));
    IMASNAP_RETURN_IF_ERROR(counter("snapshot_purges", arguments_.segments));
    for (size_t bank = 0; bank < replay_.banks(); ++bank) {
      std::string text;
      for (uint32_t pcr = 0; pcr < kTpmPcrs; ++pcr) {
        text += fmt::format("PCR-{:02}: {}\n", pcr, ToHexUpper(replay_.Value(bank, pcr).view()));
      }
      IMASNAP_RETURN_IF_ERROR(WriteText(
          fs_, fmt::format("{}/pcr-{}", directory, HashName(replay_.bank(bank).alg)), text));
    }
    return {};
  }

  Status Segment(const Store& store, const Session& session, uint64_t number, uint64_t records) {
    SegmentInfo info;
    info.number = info.attempt = number;
    info.records = records;
    info.first_record = replay_.records() + 1;
    info.taken = "2026-01-02T03:04:05Z";
    info.kernel = "bench";
    info.state = SegmentState::kPurged;
    IMASNAP_ASSIGN(OutFile out, OutFile::Create(fs_, fmt::format("{}/{}.ima", session.directory,
                                                                 SegmentName(number))));
    IMASNAP_RETURN_IF_ERROR(Measure(records, {&out}));
    IMASNAP_RETURN_IF_ERROR(out.Finish());
    info.sha256 = out.sha256();
    info.bytes = out.bytes();
    info.last_record = in_segments_ = replay_.records();
    Aggregate aggregate;
    aggregate.attempt = number;
    aggregate.record_count = replay_.records();
    aggregate.segment_hash = info.sha256;
    for (size_t bank = 0; bank < replay_.banks(); ++bank) {
      aggregate.banks.push_back(
          {std::string(HashName(replay_.bank(bank).alg)), {{kPcr, replay_.Value(bank, kPcr)}}});
    }
    info.banks = aggregate.banks;
    aggregate_ = FormatAggregate(aggregate);
    return store.WriteSegmentInfo(session, info);
  }

  // Adds records to each file; the first is the aggregate where one is due.
  Status Measure(uint64_t records, const std::vector<OutFile*>& files) {
    for (uint64_t i = 0; i < records; ++i) {
      bool violation = false;
      const std::string_view name = MakeData(&violation);
      Bytes bytes;
      AppendU32(kPcr, ByteOrder::kLittle, &bytes);
      Record record;
      record.pcr = kPcr;
      record.template_name = name;
      record.template_data = data_;
      std::vector<Digest> digests;
      for (Hasher& hasher : hashers_) {
        digests.push_back(TemplateDigest(record, &hasher));
      }
      const Digest digest =
          violation ? Digest::Filled(DigestSize(HashAlg::kSha1), std::byte{0}) : digests[0];
      record.digest = digest.view();
      IMASNAP_RETURN_IF_ERROR(replay_.Add(record, HashAlg::kSha1, digests));
      AppendBytes(digest.view(), &bytes);
      AppendField(AsBytes(name), &bytes);
      AppendField(data_, &bytes);
      for (OutFile* file : files) {
        if (file != nullptr) {
          IMASNAP_RETURN_IF_ERROR(file->Append(bytes));
        }
      }
    }
    return {};
  }

  // Fills data_ with the next record's template data; returns its template.
  std::string_view MakeData(bool* violation) {
    data_.clear();
    if (!aggregate_.empty()) {
      AppendDigestField(HashAlg::kSha256, AsBytes(aggregate_));
      AppendField(AsBytes("snapshot_aggregate" + std::string(1, '\0')), &data_);
      AppendField(AsBytes(aggregate_), &data_);
      aggregate_.clear();
      return "ima-buf";
    }
    const bool first = replay_.records() == 0;
    const uint64_t kind = first ? 1 : random_() % 1000;
    *violation = kind == 0;
    Bytes random(265);
    for (std::byte& b : random) {
      b = static_cast<std::byte>(random_());
    }
    AppendDigestField(HashAlg::kSha256, random);
    AppendField(AsBytes(first ? "boot_aggregate" + std::string(1, '\0') : Path()), &data_);
    if (kind < 600) {
      return "ima-ng";
    }
    // Signature: type, version, hash, key id, size (struct signature_v2_hdr).
    const std::string_view header("\x03\x02\x04\x12\x34\x56\x78\x01\x00", 9);
    std::copy_n(AsBytes(header).begin(), header.size(), random.begin());
    AppendField(kind < 800 ? ByteView(random) : ByteView(), &data_);
    return "ima-sig";
  }

  std::string Path() {
    static constexpr const char* kDirectories[] = {"/usr/bin/", "/usr/lib/x86_64-linux-gnu/",
                                                   "/etc/", "/usr/lib/python3/dist-packages/"};
    return fmt::format("{}file-{:x}.so", kDirectories[random_() % 4], random_() >> 40) + '\0';
  }

  void AppendDigestField(HashAlg alg, ByteView content) {
    Bytes field;
    AppendBytes(AsBytes(fmt::format("{}:", HashName(alg)) + '\0'), &field);
    AppendBytes(HashBytes(alg, content).view(), &field);
    AppendField(field, &data_);
  }

  static void AppendField(ByteView field, Bytes* out) {
    AppendU32(static_cast<uint32_t>(field.size()), ByteOrder::kLittle, out);
    AppendBytes(field, out);
  }

  FileSystem& fs_;
  const Arguments& arguments_;
  Replay replay_;
  std::vector<Hasher> hashers_;  // of replay_'s digests
  std::mt19937_64 random_;
  std::string aggregate_;  // due as the next record
  Bytes data_;
  uint64_t in_segments_ = 0;
};

Status Run(const Arguments& arguments) {
  if (arguments.live > arguments.records ||
      arguments.segments > arguments.records - arguments.live) {
    return MakeError(ErrorCode::kUsage, "more segments and live records than records");
  }
  const std::unique_ptr<FileSystem> fs = MakePosixFileSystem();
  IMASNAP_ASSIGN(Machine machine, Machine::Create(*fs, arguments));
  return machine.Run();
}

}  // namespace
}  // namespace imasnap

// NOLINTNEXTLINE(bugprone-exception-escape): a tool for developers may abort
int main(int argc, char** argv) {
  imasnap::Arguments arguments;
  CLI::App app("Make a store, a kernel's list and PCRs of a given size, for benchmarks.");
  app.add_option("DIR", arguments.directory, "Directory to make")->required();
  app.add_option("--records", arguments.records, "Records, aggregates included");
  app.add_option("--segments", arguments.segments, "Segments they are in")
      ->check(CLI::PositiveNumber);
  app.add_option("--live", arguments.live, "How many of the records the kernel still has")
      ->check(CLI::PositiveNumber);
  app.add_option("--later", arguments.later, "Records more, in DIR/later");
  app.add_option("--banks", arguments.banks, "PCR banks")->delimiter(',');
  app.add_option("--seed", arguments.seed, "Another log for another number");
  CLI11_PARSE(app, argc, argv);
  const imasnap::Status status = imasnap::Run(arguments);
  if (!status.ok()) {
    fmt::print(stderr, "make_log: {}\n", status.error().ToString());
    return 1;
  }
  return 0;
}
