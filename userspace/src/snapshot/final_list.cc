// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot/final_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "kernel/kernel_lists.h"
#include "log/log_reader.h"
#include "store/boot_log.h"

namespace imasnap {
namespace {

Status WriteList(const BootLog& rest, File* out) {
  if (rest.staged) {
    IMASNAP_RETURN_IF_ERROR(CopyRest(*rest.staged, out));
  }
  IMASNAP_RETURN_IF_ERROR(CopyRest(*rest.live, out));
  IMASNAP_RETURN_IF_ERROR(out->SyncAll());
  return out->Close();
}

// Whether the session continues in another run of the kernel, after a kexec.
bool IsOtherRun(const Environment& env, const Session& session) {
  return session.info && !session.info->last_boot.empty() && !env.identity.boot.empty() &&
         session.info->last_boot != env.identity.boot;
}

// The records that the kernel has: the staged ones, then its list.
class KernelRecords {
 public:
  explicit KernelRecords(KernelLists lists)
      : lists_(std::move(lists)),
        live_(lists_.live(), {}, lists_.live().path(), LogReader::Check::kFraming) {
    if (lists_.has_staging()) {
      staged_.emplace(*lists_.staged(), LogFormat(), lists_.staged()->path(),
                      LogReader::Check::kFraming);
    }
  }

  Result<const Record*> Next() {
    if (staged_) {
      IMASNAP_ASSIGN(const Record* const record, staged_->Next());
      if (record != nullptr) {
        return record;
      }
      staged_.reset();
    }
    return live_.Next();
  }

 private:
  KernelLists lists_;
  std::optional<LogReader> staged_;
  LogReader live_;
};

// How many records of `path` the kernel's records do not begin with.
Result<uint64_t> RecordsNotInKernel(const Environment& env, const std::string& path) {
  return ReadAgainIfCut([&]() -> Result<uint64_t> {
    IMASNAP_ASSIGN(const std::unique_ptr<File> file, env.fs.OpenFile(path, OpenMode::kRead));
    LogReader kept(*file, {}, path, LogReader::Check::kFraming);
    IMASNAP_ASSIGN(KernelLists lists, KernelLists::Open(env.kernel()));
    KernelRecords kernel(std::move(lists));
    uint64_t missing = 0;
    while (true) {
      IMASNAP_ASSIGN(const Record* const record, kept.Next());
      if (record == nullptr) {
        return missing;
      }
      if (missing == 0) {
        IMASNAP_ASSIGN(const Record* const same, kernel.Next());
        missing = same != nullptr && std::ranges::equal(record->raw, same->raw) ? 0 : 1;
      } else {
        ++missing;
      }
    }
  });
}

}  // namespace

Status KeepFinalList(const Environment& env, uint64_t session) {
  IMASNAP_ASSIGN(const Session loaded, env.store().Load(session));
  IMASNAP_ASSIGN(const BootLog rest, OpenBootLogLocked(env));
  const std::string path = loaded.NextListPath();
  const std::string temporary = path + ".tmp";
  IMASNAP_ASSIGN(const std::unique_ptr<File> out, env.fs.OpenFile(temporary, OpenMode::kCreate));
  Status status = WriteList(rest, out.get());
  if (status.ok()) {
    status = env.fs.Rename(temporary, path);
  }
  if (!status.ok()) {
    // If this fails too, the recovery of the next snapshot removes it.
    static_cast<void>(env.fs.Unlink(temporary));
    return status;
  }
  return env.fs.SyncDirectory(loaded.directory);
}

Status CheckFinalList(const Environment& env, const Session& session, bool keep, Notes* notes) {
  const bool other_run = IsOtherRun(env, session);
  if (!session.final_list) {
    if (other_run && env.config.final_snapshot) {
      notes->push_back({NoteKind::kNoFinalSnapshot, session.id,
                        "there was a kexec without a final snapshot; if it lost records, "
                        "'ima-snapshot verify --tpm' reports that"});
    }
    return {};
  }
  const std::string& list = *session.final_list;
  const auto lost = RecordsNotInKernel(env, list);
  if (lost.ok() && *lost == 0) {
    return keep ? Status() : env.fs.Unlink(list);
  }
  if (other_run) {
    // The list is only a copy: one that cannot be read must not stop a snapshot.
    notes->push_back(
        {NoteKind::kRecordsLost, lost.ok() ? *lost : 0,
         lost.ok() ? fmt::format("a kexec lost {} records, the last ones of {}", *lost, list)
                   : "records that a kexec lost cannot be counted: " + lost.error().ToString()});
  }
  return {};
}

Status NoteMissingEnd(const Environment& env, const Session& session, Notes* notes) {
  if (session.final_list || !env.config.final_snapshot) {
    return {};
  }
  IMASNAP_ASSIGN(const uint64_t stored, RecordsBefore(env.fs, session, std::nullopt));
  notes->push_back(
      {NoteKind::kNoFinalSnapshot, session.id,
       fmt::format("session {} ended without a final snapshot: the store has {} records of its "
                   "boot, and not what was measured after them",
                   SegmentName(session.id), stored)});
  return {};
}

}  // namespace imasnap
