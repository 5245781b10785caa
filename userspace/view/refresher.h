// SPDX-License-Identifier: GPL-2.0-or-later
//
// Refreshes in one thread, for any number of callers that must not wait.
#ifndef IMASNAP_VIEW_REFRESHER_H_
#define IMASNAP_VIEW_REFRESHER_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"

namespace imasnap {

class Refresher {
 public:
  using Done = std::function<void(const Status&)>;

  explicit Refresher(std::function<Status()> refresh);
  Refresher(const Refresher&) = delete;
  Refresher& operator=(const Refresher&) = delete;
  ~Refresher();  // like Stop()

  // Ends the thread. Callers that still wait, or call later, get an error.
  void Stop();

  // Calls `done`, in the refresher's thread, with the result of a refresh that began
  // after this call. All callers during one refresh share the next one.
  void Ask(Done done);

 private:
  void Work();

  const std::function<Status()> refresh_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Done> waiting_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace imasnap

#endif  // IMASNAP_VIEW_REFRESHER_H_
