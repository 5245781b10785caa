// SPDX-License-Identifier: GPL-2.0-or-later
//
// Messages of the daemon: to the journal with fields, otherwise as lines on stderr.
#ifndef IMASNAP_DAEMON_JOURNAL_H_
#define IMASNAP_DAEMON_JOURNAL_H_

#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <vector>

namespace imasnap::daemon {

struct JournalField {
  std::string name;  // as the journal has them: "IMA_SEGMENT"
  std::string value;
};

// May be written to from any thread.
class Journal {
 public:
  virtual ~Journal() = default;
  // `priority` as in syslog(3): LOG_ERR, ...
  virtual void Write(int priority, const std::string& message,
                     const std::vector<JournalField>& fields) = 0;
  void Write(int priority, const std::string& message) { Write(priority, message, {}); }
};

class SystemdJournal : public Journal {
 public:
  using Journal::Write;
  void Write(int priority, const std::string& message,
             const std::vector<JournalField>& fields) override;
};

// "ima-snapshotd: <message>"; without the fields, whose values the message has.
class StreamJournal : public Journal {
 public:
  using Journal::Write;
  // Debugging messages only if `verbose`.
  StreamJournal(std::ostream& out, bool verbose) : out_(out), verbose_(verbose) {}
  void Write(int priority, const std::string& message,
             const std::vector<JournalField>& fields) override;

 private:
  std::mutex mutex_;
  std::ostream& out_;
  const bool verbose_;
};

// Whether `fd` is the journal's, by the value of $JOURNAL_STREAM
// (systemd.exec(5)); null: not set.
bool IsJournal(int fd, const char* journal_stream);

// The journal if stderr is connected to it, otherwise `err`.
std::unique_ptr<Journal> OpenJournal(std::ostream& err, bool verbose);

}  // namespace imasnap::daemon

#endif  // IMASNAP_DAEMON_JOURNAL_H_
