// SPDX-License-Identifier: GPL-2.0-or-later
//
// Random histories of a machine: snapshots, deaths, power losses, full disks, kexecs,
// other programs and readers in any order. After each step the log is whole, the view
// shows all of it, and a verifier that keeps a state finds nothing wrong.
#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <string>

#include "checkpoint_fixture.h"
#include "every_call.h"
#include "whole_log_fixture.h"
#include "world.h"

namespace imasnap {
namespace {

using testing::FaultCase;
using testing::Kind;
using testing::World;

class History {
 public:
  explicit History(unsigned seed) : random_(seed) {
    world_.config.keep_boots = 2;
    BootAnyKernel();
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      Step();
      Check();
    }
    told_ += "at last: ";
    auto taken = world_.Take();
    EXPECT_TRUE(taken.ok()) << told_ << taken.error().ToString();
    Check();
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  void Step() {
    switch (Below(13)) {
      case 0:
      case 1:
      case 2:
        Tell("measure");
        Measure();
        break;
      case 3:
      case 4: {
        Tell("take");
        world_.kernel.records_after_open = Below(3);
        const auto taken = world_.Take();
        EXPECT_TRUE(taken.ok()) << told_ << taken.error().ToString();
        struck_ = false;
        break;
      }
      case 5:
      case 6:
        Strike("take", [this] { static_cast<void>(world_.Take()); });
        break;
      case 7:
        Strike("repair", [this] { static_cast<void>(world_.Repair()); });
        break;
      case 8:
        Tell("refused purge");
        world_.kernel.write_error = Below(2) == 0 ? ESHUTDOWN : ESTALE;
        world_.kernel.purge_although_error = Below(2) == 0;
        static_cast<void>(world_.Take());
        world_.kernel.write_error = 0;
        world_.kernel.purge_although_error = false;
        break;
      case 9:
        if (world_.kernel.has_staging) {
          Tell("another stages");
          static_cast<void>(world_.kernel.Stage());
        }
        break;
      case 10:
        if (Below(4) == 0) {
          BootAnyKernel();
        } else {
          Kexec();
        }
        break;
      case 11:
        Strike("refresh", [this] {
          if (view_) {
            static_cast<void>(view_->Refresh());
          }
        });
        break;
      case 12:
        Strike("mark", [this] { static_cast<void>(world_.Take(true)); });
        break;
      default:
        break;
    }
  }

  void BootAnyKernel() {
    const int kind = Below(3);
    world_.kernel.has_snapshot_file = kind != 0;
    world_.kernel.has_staging = kind != 1;
    constexpr const char* kWith[] = {"staging", "the snapshot file", "both"};
    Tell(std::string("cold boot with ") + kWith[kind]);
    world_.ColdBoot(*world_.reset_count + 1);
    view_.reset();
    state_.reset();
  }

  void Kexec() {
    Tell("kexec");
    if (struck_) {
      // Or the case that STORE.md calls undecidable: the boot_aggregate at the list's
      // beginning may be the one that was deleted with a segment, or the next one.
      world_.kernel.MeasureFiles(1);
    }
    if (Below(4) == 0) {  // and from there none back
      Tell("into staging");
      world_.kernel.has_snapshot_file = false;
      world_.kernel.has_staging = true;
    }
    world_.Kexec();
    view_.reset();
  }

  void Measure() {
    if (Below(6) == 0) {
      world_.kernel.Measure(testing::Violation("/log" + std::to_string(++violations_)));
    }
    world_.kernel.MeasureFiles(Below(5));
  }

  template <typename Act>
  void Strike(const std::string& what, const Act& act) {
    const FaultCase& drawn = testing::kFaultCases[static_cast<size_t>(
        Below(static_cast<int>(std::size(testing::kFaultCases))))];
    testing::Fault fault = drawn.fault;
    fault.call = 1 + Below(120);
    Tell(what + " with " + drawn.name + " at call " + std::to_string(fault.call));
    world_.fs.Arm(fault);
    act();
    struck_ = true;
    world_.fs.Restart(world_.fs.crashed() && drawn.lose_unsynced);
  }

  void Check() {
    ASSERT_TRUE(world_.IsWhole()) << told_;
    CheckView();
    const auto report = VerifyFrom(&world_, &world_.tpm, state_ ? &*state_ : nullptr);
    ASSERT_TRUE(report.ok()) << told_ << report.error().ToString();
    ASSERT_FALSE(report->finding) << told_ << report->finding->ToError().ToString();
    if (report->checkpoint && Below(3) == 0) {
      state_ = report->checkpoint;
    }
  }

  // One that was mounted some steps ago, or another.
  void CheckView() {
    if (!view_) {
      auto opened = Open(&world_);
      ASSERT_TRUE(opened.ok()) << told_ << opened.error().ToString();
      view_ = std::move(*opened);
    } else if (Below(2) == 0) {
      return;
    }
    const Status refreshed = view_->Refresh();
    ASSERT_TRUE(refreshed.ok()) << told_ << refreshed.error().ToString();
    ASSERT_TRUE(ReadWith(*view_->index(), {}, 4096) == world_.kernel.Everything()) << told_;
  }

  void Tell(const std::string& step) { told_ += step + "; "; }

  std::mt19937 random_;
  World world_;
  std::unique_ptr<WholeLog> view_;
  std::optional<Checkpoint> state_;
  bool struck_ = false;  // and no snapshot taken since
  int violations_ = 0;
  std::string told_;
};

// A run takes the same histories each time, but with --gtest_shuffle, which draws
// others: --gtest_shuffle --gtest_repeat=500 takes some thousands.
TEST(RandomHistoryTest, LosesNothingAndStoresNothingTwice) {
  constexpr unsigned kHistories = testing::kCallStep == 1 ? 20 : 4;
  constexpr int kSteps = 60;
  const auto run = static_cast<unsigned>(::testing::UnitTest::GetInstance()->random_seed());
  for (unsigned seed = run * kHistories; seed < (run + 1) * kHistories && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    History(seed).Run(kSteps);
  }
}

}  // namespace
}  // namespace imasnap
