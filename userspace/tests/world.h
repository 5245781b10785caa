// SPDX-License-Identifier: GPL-2.0-or-later
//
// A machine: kernel, file system, TPM, and the library's environment on them.
#ifndef IMASNAP_TESTS_WORLD_H_
#define IMASNAP_TESTS_WORLD_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "fake_file_system.h"
#include "fake_kernel.h"
#include "snapshot/snapshot.h"
#include "store/boot_log.h"
#include "store/environment.h"
#include "store/log_parts.h"
#include "store/log_writer.h"
#include "tpm/pcr_values.h"
#include "verify/fixed_pcrs.h"
#include "verify/tpm_pcrs.h"
#include "verify/verify.h"

namespace imasnap {

inline void PrintTo(const Note& note, std::ostream* out) {
  *out << note.kind << " " << note.number << " " << note.file << ": " << note.text;
}

}  // namespace imasnap

namespace imasnap::testing {

// A note of this kind, about this segment or session, or about this file.
inline auto IsNote(NoteKind kind, uint64_t number, const std::string& file = "") {
  return ::testing::AllOf(::testing::Field("kind", &Note::kind, kind),
                          ::testing::Field("number", &Note::number, number),
                          ::testing::Field("file", &Note::file, file));
}

// The PCRs of a FakeKernel, as a TPM gives them.
class FakeTpm : public PcrReader {
 public:
  explicit FakeTpm(FakeKernel* kernel) : kernel_(kernel) {}
  Result<PcrValues> Read(const std::vector<uint32_t>& pcrs) override;
  // Records measured before and after each read, as on a busy machine.
  int measured_before_read = 0;
  int measured_after_read = 0;

 private:
  FakeKernel* kernel_;
};

// What a log is verified with: a comparison, a TPM, or nothing.
class With {
 public:
  With(std::nullptr_t) {}
  With(Comparison* comparison) : comparison_(comparison) {}
  With(PcrReader* tpm) : tpm_(tpm), comparison_(tpm != nullptr ? &tpm_ : nullptr) {}
  With(const With&) = delete;
  With& operator=(const With&) = delete;
  Comparison* get() const { return comparison_; }

 private:
  TpmPcrs tpm_{nullptr};
  Comparison* comparison_ = nullptr;
};

enum class Kind { kSnapshot, kStaging };

inline const std::string kStore = "/var/lib/ima-snapshot";
inline const std::string kBoot1 = kStore + "/boots/00000001";

struct World {
  explicit World(Kind kind = Kind::kSnapshot) : fs(&kernel), tpm(&kernel) {
    kernel.has_snapshot_file = kind == Kind::kSnapshot;
    kernel.has_staging = kind == Kind::kStaging;
  }

  FakeKernel kernel;
  FakeFileSystem fs;
  FakeTpm tpm;
  std::optional<uint32_t> reset_count = 5;
  MachineIdentity identity{std::string(32, 'a'), std::string(32, 'b')};
  Notes notes;  // of the last Take() or Repair()
  Config config;
  uint32_t owner = 0;
  Progress progress;
  int pauses = 0;  // tries again after something was held up

  // A cold boot of the machine; the TPM then reports `count`.
  void ColdBoot(std::optional<uint32_t> count);
  // As FakeKernel::Kexec().
  void Kexec(size_t lost = 0);
  Environment Env();
  Result<TakeResult> Take(bool mark = false);
  Result<TakeResult> TakeFinal();
  // A snapshot that is stored, and whose purge the kernel refuses.
  void TakeUnpurged(int errno_value);
  // A process that dies in a snapshot, before the first call of this name after `skip`.
  void DieBefore(const std::string& call, int skip = 0);
  Result<Session> Repair();
  Result<Bytes> Cat(const CatOptions& options = {});
  Result<VerifyReport> Verify(const With& with);
  // The stitched log is every record since boot, once, and replays to the PCRs.
  ::testing::AssertionResult IsWhole();
  std::string SegmentPath(uint64_t number) const { return kBoot1 + "/" + SegmentName(number); }
  // A segment's metadata.
  SegmentInfo Info(uint64_t number) const;
  void SetInfo(uint64_t number, const SegmentInfo& info);

 private:
  void NewRun() { identity.boot = std::string(32, static_cast<char>('0' + runs_++ % 10)); }
  int runs_ = 0;
};

}  // namespace imasnap::testing

#endif  // IMASNAP_TESTS_WORLD_H_
