// SPDX-License-Identifier: GPL-2.0-or-later
#include "world.h"

namespace imasnap::testing {

Result<PcrValues> FakeTpm::Read(const std::vector<uint32_t>& pcrs) {
  kernel_->MeasureFiles(measured_before_read);
  PcrValues values;
  for (const auto& [bank, all] : kernel_->Pcrs()) {
    values[bank];
    for (uint32_t pcr : pcrs) {
      values[bank][pcr] = all.at(pcr);
    }
  }
  kernel_->MeasureFiles(measured_after_read);
  return values;
}

void World::ColdBoot(std::optional<uint32_t> count) {
  kernel.Boot();
  reset_count = count;
  NewRun();
}

void World::Kexec(size_t lost) {
  kernel.Kexec(lost);
  NewRun();
}

Environment World::Env() {
  return {.fs = fs,
          .config = config,
          .now = [] { return std::string("2026-01-02T03:04:05Z"); },
          .kernel_release = "7.3.0-test",
          .reset_count = [this] { return reset_count; },
          .owner = owner,
          .identity = identity,
          .on_progress = progress,
          .pause = [this](std::chrono::milliseconds) { ++pauses; }};
}

Result<TakeResult> World::Take(bool mark) {
  notes.clear();
  const Environment env = Env();
  return TakeSnapshot(env, mark, &notes);
}

Result<TakeResult> World::TakeFinal() {
  notes.clear();
  const Environment env = Env();
  return TakeFinalSnapshot(env, &notes);
}

void World::TakeUnpurged(int errno_value) {
  kernel.write_error = errno_value;
  ASSERT_FALSE(Take().ok());
  kernel.write_error = 0;
}

void World::DieBefore(const std::string& call, int skip) {
  Fault fault;
  fault.kind = Fault::Kind::kCrashBefore;
  fault.at = call;
  fault.skip = skip;
  fs.Arm(fault);
  static_cast<void>(Take());  // it does not matter what a dead process answers
  EXPECT_TRUE(fs.crashed());
  fs.Restart(/*lose_unsynced=*/false);
}

SegmentInfo World::Info(uint64_t number) const {
  const std::string file = SegmentPath(number) + ".json";
  return ParseSegment(*fs.Read(file), file).value();
}

void World::SetInfo(uint64_t number, const SegmentInfo& info) {
  fs.Write(SegmentPath(number) + ".json", FormatSegment(info));
}

Result<Session> World::Repair() {
  notes.clear();
  const Environment env = Env();
  return RepairStore(env, &notes);
}

Result<Bytes> World::Cat(const CatOptions& options) {
  const Environment env = Env();
  IMASNAP_ASSIGN(const BootLog boot_log, OpenBootLog(env));
  Bytes out;
  IMASNAP_ASSIGN(const uint64_t records,
                 WriteLog(PartsOf(env, boot_log), options, [&out](ByteView bytes) -> Status {
                   AppendBytes(bytes, &out);
                   return {};
                 }));
  static_cast<void>(records);
  return out;
}

Result<VerifyReport> World::Verify(const With& with) {
  const Environment env = Env();
  IMASNAP_ASSIGN(const BootLog boot_log, OpenBootLog(env));
  return VerifyLog(PartsOf(env, boot_log), with.get());
}

::testing::AssertionResult World::IsWhole() {
  const auto cat = Cat();
  if (!cat.ok()) {
    return ::testing::AssertionFailure() << "cat: " << cat.error().ToString();
  }
  if (*cat != kernel.Everything()) {
    return ::testing::AssertionFailure()
           << "the stitched log has " << cat->size() << " bytes and is not the "
           << kernel.Everything().size() << " bytes measured";
  }
  const auto report = Verify(&tpm);
  if (!report.ok()) {
    return ::testing::AssertionFailure() << "verify: " << report.error().ToString();
  }
  if (report->finding) {
    return ::testing::AssertionFailure() << report->finding->ToError().ToString();
  }
  if (report->matched_record != kernel.total()) {
    return ::testing::AssertionFailure() << "matched at another record";
  }
  return ::testing::AssertionSuccess();
}

}  // namespace imasnap::testing
