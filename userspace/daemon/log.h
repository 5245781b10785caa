// SPDX-License-Identifier: GPL-2.0-or-later
//
// Messages of the daemon: to the journal with fields, otherwise as lines on stderr.
#ifndef IMASNAP_DAEMON_LOG_H_
#define IMASNAP_DAEMON_LOG_H_

#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <vector>

namespace imasnap::daemon {

struct LogField {
  std::string name;  // as the journal has them: "IMA_SEGMENT"
  std::string value;
};

// May be written to from any thread.
class Log {
 public:
  virtual ~Log() = default;
  // `priority` as in syslog(3): LOG_ERR, ...
  virtual void Write(int priority, const std::string& message,
                     const std::vector<LogField>& fields) = 0;
  void Write(int priority, const std::string& message) { Write(priority, message, {}); }
};

class JournalLog : public Log {
 public:
  using Log::Write;
  void Write(int priority, const std::string& message,
             const std::vector<LogField>& fields) override;
};

// "ima-snapshotd: <message>"; without the fields, whose values the message has.
class StreamLog : public Log {
 public:
  using Log::Write;
  // Debugging messages only if `verbose`.
  StreamLog(std::ostream& out, bool verbose) : out_(out), verbose_(verbose) {}
  void Write(int priority, const std::string& message,
             const std::vector<LogField>& fields) override;

 private:
  std::mutex mutex_;
  std::ostream& out_;
  const bool verbose_;
};

// Whether `fd` is the journal's, by the value of $JOURNAL_STREAM
// (systemd.exec(5)); null: not set.
bool IsJournal(int fd, const char* journal_stream);

// The journal if stderr is connected to it, otherwise `err`.
std::unique_ptr<Log> OpenLog(std::ostream& err, bool verbose);

}  // namespace imasnap::daemon

#endif  // IMASNAP_DAEMON_LOG_H_
