// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/journal.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cstdlib>

namespace imasnap::daemon {

void SystemdJournal::Write(int priority, const std::string& message,
                           const std::vector<JournalField>& fields) {
  std::vector<std::string> texts = {"MESSAGE=" + message, fmt::format("PRIORITY={}", priority),
                                    "SYSLOG_IDENTIFIER=ima-snapshotd"};
  for (const JournalField& field : fields) {
    texts.push_back(field.name + "=" + field.value);
  }
  std::vector<struct iovec> parts;
  parts.reserve(texts.size());
  for (std::string& text : texts) {
    parts.push_back({text.data(), text.size()});
  }
  // If the journal does not accept it, there is nowhere to report that.
  static_cast<void>(sd_journal_sendv(parts.data(), static_cast<int>(parts.size())));
}

void StreamJournal::Write(int priority, const std::string& message,
                          const std::vector<JournalField>& /*fields*/) {
  if (priority < LOG_DEBUG || verbose_) {
    const std::lock_guard guard(mutex_);
    out_ << "ima-snapshotd: " << message << "\n" << std::flush;
  }
}

bool IsJournal(int fd, const char* journal_stream) {
  struct stat st {};
  return journal_stream != nullptr && ::fstat(fd, &st) == 0 &&
         journal_stream == fmt::format("{}:{}", st.st_dev, st.st_ino);
}

std::unique_ptr<Journal> OpenJournal(std::ostream& err, bool verbose) {
  if (IsJournal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"))) {
    return std::make_unique<SystemdJournal>();
  }
  return std::make_unique<StreamJournal>(err, verbose);
}

}  // namespace imasnap::daemon
