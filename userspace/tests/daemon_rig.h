// SPDX-License-Identifier: GPL-2.0-or-later
//
// A World with the daemon's service on it; the test is its loop and its clock.
#ifndef IMASNAP_TESTS_DAEMON_RIG_H_
#define IMASNAP_TESTS_DAEMON_RIG_H_

#include <poll.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/service.h"
#include "world.h"

namespace imasnap::testing {

struct JournalLine {
  int priority;
  std::string message;
  std::vector<daemon::JournalField> fields;

  // Empty if the line has no such field.
  std::string Field(const std::string& name) const {
    const auto found = std::ranges::find(fields, name, &daemon::JournalField::name);
    return found == fields.end() ? std::string() : found->value;
  }
};

class RecordingJournal : public daemon::Journal {
 public:
  using Journal::Write;
  void Write(int priority, const std::string& message,
             const std::vector<daemon::JournalField>& fields) override {
    lines.push_back({priority, message, fields});
  }
  // How many lines of `priority` have all of these fields.
  int Count(int priority, const std::map<std::string, std::string>& fields = {}) const {
    return static_cast<int>(std::ranges::count_if(lines, [&](const JournalLine& line) {
      return line.priority == priority && std::ranges::all_of(fields, [&line](const auto& field) {
               return line.Field(field.first) == field.second;
             });
    }));
  }
  int CountEvent(int priority, const std::string& event) const {
    return Count(priority, {{"IMA_EVENT", event}});
  }

  std::vector<JournalLine> lines;
};

struct Rig {
  Rig() : worker(std::move(*daemon::Worker::Create())), service(Env(), MakeParts()) {
    config.max_records = 10;
    config.max_bytes.reset();
  }

  Environment Env() {
    Environment env = world.Env();
    env.config = {};
    env.now = [this] { return utc; };
    env.reset_count = [this] {
      if (before_recovery) {
        before_recovery();
      }
      return world.reset_count;
    };
    env.on_progress = [this](uint64_t records) { return !on_progress || on_progress(records); };
    return env;
  }

  daemon::Parts MakeParts() {
    return {
        .load_config = [this]() -> Result<Config> {
          if (config_error) {
            return *config_error;
          }
          return config;
        },
        .notify = [this](const std::string& state) { told.push_back(state); },
        .journal = &journal,
        .worker = worker.get(),
        .mount = [this](const Environment& env, const std::string& directory,
                        const daemon::WarningSink& warn) { return mount(env, directory, warn); }};
  }

  // Waits for the snapshot that runs, and hands it to the service.
  void Finish() {
    struct pollfd done {
      worker->done_fd(), POLLIN, 0
    };
    ASSERT_EQ(::poll(&done, 1, -1), 1);
    service.SnapshotDone(now);
  }
  // One snapshot, whatever comes of it. Returns what Tick() says after it.
  daemon::Time TickAndFinish() {
    EXPECT_EQ(service.Tick(now), daemon::Service::kNever);
    Finish();
    return service.Tick(now);
  }
  bool Told(const std::string& state) const { return std::ranges::find(told, state) != told.end(); }

  World world;
  Config config;
  std::optional<Error> config_error;
  std::string utc = "2026-01-02T03:04:05Z";
  std::function<void()> before_recovery;      // in the worker's thread
  std::function<bool(uint64_t)> on_progress;  // likewise
  daemon::Mounter mount =
      [](const Environment&, const std::string& directory,
         const daemon::WarningSink&) -> Result<std::unique_ptr<daemon::ServedView>> {
    return FileError(ErrorCode::kFailed, directory, "no view here");
  };
  RecordingJournal journal;
  std::vector<std::string> told;  // by sd_notify
  daemon::Time now = std::chrono::hours(1000);
  std::unique_ptr<daemon::Worker> worker;
  daemon::Service service;
};

}  // namespace imasnap::testing

#endif  // IMASNAP_TESTS_DAEMON_RIG_H_
