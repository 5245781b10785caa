// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/refresher.h"

#include <gtest/gtest.h>

#include <future>

namespace imasnap {
namespace {

TEST(RefresherTest, ARequestDuringARefreshSharesTheNextOne) {
  int refreshes = 0;
  std::promise<void> began;
  std::promise<void> go_on;
  std::shared_future<void> may_go_on = go_on.get_future().share();
  Refresher refresher([&]() -> Status {
    if (++refreshes == 1) {
      began.set_value();
      may_go_on.wait();
    }
    return {};
  });
  std::promise<int> first;
  refresher.Ask([&](const Status&) { first.set_value(refreshes); });
  began.get_future().wait();
  std::promise<int> second;
  std::promise<int> third;
  refresher.Ask([&](const Status&) { second.set_value(refreshes); });
  refresher.Ask([&](const Status&) { third.set_value(refreshes); });
  go_on.set_value();
  EXPECT_EQ(first.get_future().get(), 1);
  EXPECT_EQ(second.get_future().get(), 2);
  EXPECT_EQ(third.get_future().get(), 2);
}

TEST(RefresherTest, PassesTheErrorOn) {
  Refresher refresher([]() -> Status { return MakeError(ErrorCode::kLocked, "held"); });
  std::promise<ErrorCode> code;
  refresher.Ask([&](const Status& status) { code.set_value(status.error().code); });
  EXPECT_EQ(code.get_future().get(), ErrorCode::kLocked);
}

TEST(RefresherTest, AnswersWithAnErrorOnceItIsStopped) {
  int refreshes = 0;
  Refresher refresher([&]() -> Status {
    ++refreshes;
    return {};
  });
  refresher.Stop();
  bool failed = false;
  refresher.Ask([&](const Status& status) { failed = !status.ok(); });
  EXPECT_TRUE(failed);
  EXPECT_EQ(refreshes, 0);
}

}  // namespace
}  // namespace imasnap
