// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/log.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cstdlib>

namespace imasnap::daemon {

void JournalLog::Write(int priority, const std::string& message,
                       const std::vector<LogField>& fields) {
  std::vector<std::string> texts = {"MESSAGE=" + message, fmt::format("PRIORITY={}", priority),
                                    "SYSLOG_IDENTIFIER=ima-snapshotd"};
  for (const LogField& field : fields) {
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

void StreamLog::Write(int priority, const std::string& message,
                      const std::vector<LogField>& /*fields*/) {
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

std::unique_ptr<Log> OpenLog(std::ostream& err, bool verbose) {
  if (IsJournal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"))) {
    return std::make_unique<JournalLog>();
  }
  return std::make_unique<StreamLog>(err, verbose);
}

}  // namespace imasnap::daemon
