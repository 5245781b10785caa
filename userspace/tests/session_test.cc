// SPDX-License-Identifier: GPL-2.0-or-later
//
// Boots told apart, and the store's recovery from states that only an
// interruption leaves.
#include "session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <tuple>

#include "replay.h"
#include "world.h"

namespace imasnap {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kBoot1;
using testing::Kind;
using testing::kStore;
using testing::NgRecord;
using testing::World;

class BootTest : public ::testing::TestWithParam<std::tuple<bool, Kind>> {
 protected:
  BootTest() : world_(std::get<1>(GetParam())) { world_.reset_count = Counter(5); }
  std::optional<uint32_t> Counter(uint32_t count) const {
    return std::get<0>(GetParam()) ? std::optional<uint32_t>(count) : std::nullopt;
  }
  // A cold boot; with a TPM its reset count rises.
  void ColdBoot(uint32_t count) { world_.ColdBoot(Counter(count)); }
  World world_;
};

TEST_P(BootTest, ColdBootBeginsANewSessionAndOldOnesAreRemoved) {
  world_.config.keep_boots = 2;
  for (uint32_t boot = 1; boot <= 4; ++boot) {
    if (boot > 1) {
      ColdBoot(5 + boot);
      // Before the first snapshot the old segments are no part of the log.
      EXPECT_TRUE(world_.IsWhole());
    }
    world_.kernel.MeasureFiles(4);
    auto taken = world_.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_EQ(taken->session, boot);
    EXPECT_EQ(taken->segment->number, 1U);
    EXPECT_TRUE(world_.IsWhole());
  }
  EXPECT_THAT(world_.fs.Names(kStore + "/boots"), ElementsAre("00000003", "00000004"));
  EXPECT_EQ(world_.fs.Find(kStore + "/current")->target, "boots/00000004");
}

TEST_P(BootTest, KexecCarriesTheSessionOn) {
  world_.kernel.MeasureFiles(4);
  ASSERT_TRUE(world_.Take().ok());
  // The list is carried over, the new kernel measures its own beginning.
  world_.kernel.Measure(NgRecord("boot_aggregate"));
  world_.kernel.MeasureFiles(2);
  auto taken = world_.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 1U);
  EXPECT_EQ(taken->segment->number, 2U);
  EXPECT_TRUE(world_.IsWhole());
}

TEST_P(BootTest, SecondBootWithTheSameFirstRecordsIsAnotherSession) {
  world_.kernel.Measure(NgRecord("/same"));
  ASSERT_TRUE(world_.Take().ok());
  ColdBoot(6);
  world_.kernel.Measure(NgRecord("/same"));
  auto taken = world_.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 2U);
  EXPECT_TRUE(world_.IsWhole());
}

TEST_P(BootTest, SegmentStoredButNotPurgedBeforeAColdBootStaysWithItsBoot) {
  world_.kernel.MeasureFiles(4);
  world_.kernel.write_error = EIO;
  ASSERT_FALSE(world_.Take().ok());
  world_.kernel.write_error = 0;
  ColdBoot(6);
  world_.kernel.MeasureFiles(3);
  EXPECT_TRUE(world_.IsWhole());
  auto taken = world_.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 2U);
  EXPECT_FALSE(taken->segment->supersedes);
  EXPECT_TRUE(world_.fs.Find(kBoot1 + "/00000001.ima"));
  EXPECT_TRUE(world_.IsWhole());
}

TEST_P(BootTest, RepairAtAColdBootClosesTheOldSessionWithoutASnapshot) {
  world_.config.keep_boots = 2;
  world_.kernel.MeasureFiles(4);
  ASSERT_TRUE(world_.Take().ok());
  const std::string file = kBoot1 + "/session.json";
  EXPECT_EQ(ParseSession(*world_.fs.Read(file), file)->closed, "");
  ColdBoot(6);
  const auto repaired = world_.Repair();
  ASSERT_TRUE(repaired.ok()) << repaired.error().ToString();
  EXPECT_EQ(ParseSession(*world_.fs.Read(file), file)->closed, "2026-01-02T03:04:05Z");
  EXPECT_THAT(world_.fs.Names(kStore + "/boots"), ElementsAre("00000001", "00000002"));
  EXPECT_THAT(world_.fs.Names(kStore + "/boots/00000002"), ElementsAre("session.json"));
  EXPECT_EQ(world_.fs.Find(kStore + "/current")->target, "boots/00000002");
  EXPECT_EQ(world_.kernel.attempts(), 0U);
  EXPECT_EQ(world_.kernel.in_memory(), 1U);
  EXPECT_TRUE(world_.IsWhole());
  // keep_boots holds at every recovery, not only at a boot's first.
  world_.config.keep_boots = 1;
  ASSERT_TRUE(world_.Repair().ok());
  EXPECT_THAT(world_.fs.Names(kStore + "/boots"), ElementsAre("00000002"));
}

INSTANTIATE_TEST_SUITE_P(Tpm, BootTest,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::Values(Kind::kSnapshot, Kind::kStaging)),
                         [](const auto& p) {
                           return std::string(std::get<0>(p.param) ? "With" : "Without") +
                                  (std::get<1>(p.param) == Kind::kSnapshot ? "" : "ByStaging");
                         });

TEST(RecoveryTest, ClosedSessionThatTheChainProvesIsOpenedAgain) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  const std::string file = kBoot1 + "/session.json";
  auto info = ParseSession(*world.fs.Read(file), file).value();
  info.closed = "2026-01-01T00:00:00Z";
  world.fs.Write(file, FormatSession(info));
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 1U);
  EXPECT_EQ(ParseSession(*world.fs.Read(file), file)->closed, "");
}

// The TPM of a virtual machine may begin anew with each boot.
TEST(RecoveryTest, AColdBootWithAnEqualResetCountIsToldByTheListsBeginning) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.ColdBoot(world.reset_count);
  world.kernel.MeasureFiles(3);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->session, 2U);
  EXPECT_TRUE(world.IsWhole());
}

TEST(RecoveryTest, AnotherMachineIsAnotherBootWhateverItsTpmCounts) {
  for (const Kind kind : {Kind::kSnapshot, Kind::kStaging}) {
    for (const bool stored : {false, true}) {
      World world(kind);
      world.kernel.MeasureFiles(4);
      if (stored) {
        ASSERT_TRUE(world.Take().ok());
      } else {
        ASSERT_TRUE(world.Repair().ok());
      }
      world.ColdBoot(world.reset_count);
      world.identity.machine = std::string(32, 'c');
      world.kernel.MeasureFiles(3);
      auto taken = world.Take();
      ASSERT_TRUE(taken.ok()) << taken.error().ToString();
      EXPECT_EQ(taken->session, 2U);
      EXPECT_TRUE(world.IsWhole());
    }
  }
}

// mkdir(1) syncs nothing.
TEST(SnapshotTest, StoreThatTheAdministratorMadeIsDurableBeforeThePurge) {
  World world;
  world.config.store = "/srv/made/ima";
  for (const char* directory : {"/srv", "/srv/made", "/srv/made/ima"}) {
    ASSERT_TRUE(world.fs.MakeDirectory(directory).ok());
  }
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.fs.Restart(/*lose_unsynced=*/true);
  EXPECT_TRUE(world.IsWhole());
}

TEST(SnapshotTest, NumbersOfMoreThanEightDigitsAreNumbersToo) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  for (const char* extension : {".ima", ".json"}) {
    std::string text = *world.fs.Read(world.SegmentPath(1) + extension);
    if (const size_t at = text.find("\"segment\": 1,"); at != std::string::npos) {
      text.replace(at, 13, "\"segment\": 99999999");
    }
    world.fs.Write(world.SegmentPath(99999999) + extension, text);
    world.fs.Remove(world.SegmentPath(1) + extension);
  }
  for (const uint64_t number : {100000000U, 100000001U}) {
    world.kernel.MeasureFiles(2);
    auto taken = world.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_EQ(taken->segment->number, number);
  }
  const auto session = world.Env().store().LoadNewest();
  ASSERT_TRUE(session.ok());
  EXPECT_EQ((*session)->segments.size(), 3U);
}

// What the kernel records cannot be taken back, and would be recorded at each try.
TEST(SnapshotTest, AStoreThatCannotBeWrittenCostsNoAggregate) {
  for (const Kind kind : {Kind::kSnapshot, Kind::kStaging}) {
    World world(kind);
    world.kernel.MeasureFiles(4);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.MeasureFiles(4);
    const Bytes before = world.kernel.Everything();
    testing::Fault fault;
    fault.kind = testing::Fault::Kind::kError;
    fault.errno_value = EROFS;
    fault.at = "open " + world.SegmentPath(2) + ".ima.tmp";
    world.fs.Arm(fault);
    EXPECT_FALSE(world.Take().ok());
    EXPECT_EQ(world.kernel.Everything(), before);
    EXPECT_EQ(world.kernel.attempts(), kind == Kind::kSnapshot ? 1U : 0U);
    ASSERT_TRUE(world.Take().ok());
    EXPECT_TRUE(world.IsWhole());
  }
}

TEST(RecoveryTest, ClearedTpmDoesNotEndASessionThatTheChainProves) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.reset_count = 0;  // TPM2_Clear
  world.kernel.MeasureFiles(4);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 1U);
  EXPECT_TRUE(world.IsWhole());
}

TEST(RecoveryTest, ClearedTpmDoesNotEndASessionOfTheSameRunOfTheKernel) {
  for (const bool staged_away : {false, true}) {
    World world;
    world.kernel.has_staging = true;
    world.kernel.MeasureFiles(4);
    ASSERT_TRUE(world.Take().ok());
    world.kernel.MeasureFiles(4);
    if (staged_away) {  // by a program that keeps to no lock
      ASSERT_EQ(world.kernel.Stage(), 0);
      ASSERT_EQ(world.kernel.DeleteStaged(), 0);
    } else {
      world.kernel.write_error = EIO;
      ASSERT_FALSE(world.Take().ok());
      world.kernel.write_error = 0;
    }
    world.reset_count = 0;  // TPM2_Clear
    world.kernel.MeasureFiles(2);
    auto taken = world.Take();
    ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    EXPECT_EQ(taken->session, 1U);
    if (staged_away) {
      EXPECT_THAT(world.notes, Contains(HasSubstr("does not go on from segment 00000001")));
    } else {
      EXPECT_TRUE(world.IsWhole());
    }
  }
}

TEST(RecoveryTest, PurgeByAnotherClientIsSaidAndShownByVerification) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.kernel.MeasureFiles(4);
  {  // someone else's snapshot, into another store
    Environment other = world.Env();
    other.config.store = "/var/lib/other";
    other.config.allow_gap = true;
    std::vector<std::string> notes;
    ASSERT_TRUE(TakeSnapshot(other, false, &notes).ok());
  }
  world.kernel.MeasureFiles(4);
  auto report = world.Verify(&world.tpm);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->segment, 0U);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->session, 1U);
  EXPECT_THAT(world.notes, Contains(HasSubstr("does not go on from segment 00000001")));
  report = world.Verify(&world.tpm);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->segment, 2U);
  EXPECT_THAT(report->finding->message, HasSubstr("attempt 2 where attempt 1 should be"));
}

// Records 1 to 5 are in one store, and take is given another.
class OtherStoreTest : public ::testing::TestWithParam<bool> {
 protected:
  OtherStoreTest() {
    world_.kernel.MeasureFiles(4);
    EXPECT_TRUE(world_.Take().ok());
    world_.kernel.MeasureFiles(2);
    world_.config.store = kOther;
    if (GetParam()) {  // a session of this boot, which its daemon began before
      const SessionInfo info{1, "2026-01-02T03:04:05Z", "7.3.0-test", 5, "", "", "", ""};
      EXPECT_TRUE(world_.Env().store().CreateSession(info).ok());
    }
  }
  const std::string kOther = "/srv/ima";
  World world_;
};

TEST_P(OtherStoreTest, IsRefusedBeforeTheKernelIsTouchedAndTheStoreIsMade) {
  const auto taken = world_.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kRefused);
  EXPECT_THAT(taken.error().ToString(),
              AllOf(HasSubstr("binary_runtime_measurements: records 1 to 5 of this boot"),
                    HasSubstr("store /srv/ima"), HasSubstr("allow_gap = true")));
  const auto repaired = world_.Repair();
  ASSERT_FALSE(repaired.ok());
  EXPECT_EQ(repaired.error().ToString(), taken.error().ToString());
  EXPECT_EQ(world_.kernel.attempts(), 1U);
  EXPECT_EQ(world_.kernel.purges(), 1U);
  EXPECT_EQ(world_.fs.Find(kOther) != nullptr, GetParam());
  world_.config.store = kStore;
  ASSERT_TRUE(world_.Take().ok());
  EXPECT_TRUE(world_.IsWhole());
}

TEST_P(OtherStoreTest, BeginsAfterTheGapWhereThatIsAllowed) {
  world_.config.allow_gap = true;
  const auto taken = world_.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->segment->first_record, 6U);
  EXPECT_THAT(world_.notes, Contains(HasSubstr("records 1 to 5 of this boot were purged")));
  world_.config.allow_gap = false;
  EXPECT_TRUE(world_.Take().ok());  // it is this one's boot now
  const auto cat = world_.Cat();
  ASSERT_FALSE(cat.ok());
  EXPECT_EQ(cat.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(cat.error().ToString(),
            kOther +
                "/boots/00000001/00000001.ima: the log's beginning is not there: its first "
                "record is snapshot_aggregate, not boot_aggregate");
  EXPECT_TRUE(world_.Cat({.from = 2}).ok());
}

INSTANTIATE_TEST_SUITE_P(Session, OtherStoreTest, ::testing::Bool(),
                         [](const auto& p) { return p.param ? "Begun" : "None"; });

TEST(RecoveryTest, RecordsThatAreGoneWithoutAnAggregateAreToldByTheCounters) {
  World world;
  world.kernel.has_staging = true;  // beside the snapshot file
  world.kernel.MeasureFiles(4);
  ASSERT_EQ(world.kernel.Stage(), 0);
  world.kernel.MeasureFiles(2);
  ASSERT_EQ(world.kernel.DeleteStaged(), 0);
  const auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kRefused);
  EXPECT_THAT(taken.error().message, HasSubstr("records 1 to 5 of this boot"));
  EXPECT_EQ(world.kernel.attempts(), 0U);
}

TEST(RecoveryTest, UnseenPurgeIsNoted) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  auto info = ParseSegment(*world.fs.Read(world.SegmentPath(1) + ".json"), "json").value();
  info.state = SegmentState::kStored;
  world.fs.Write(world.SegmentPath(1) + ".json", FormatSegment(info));
  ASSERT_TRUE(world.Take().ok());
  EXPECT_THAT(world.notes, Contains(HasSubstr("was purged, though that was not seen")));
  info = ParseSegment(*world.fs.Read(world.SegmentPath(1) + ".json"), "json").value();
  EXPECT_EQ(info.state, SegmentState::kPurged);
}

TEST(RecoveryTest, LostMetadataOfThePurgedLastSegmentIsWrittenAnew) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  const auto good = ParseSegment(*world.fs.Read(world.SegmentPath(1) + ".json"), "json").value();
  world.fs.Remove(world.SegmentPath(1) + ".json");
  ASSERT_TRUE(world.Take().ok());
  EXPECT_THAT(world.notes, Contains(HasSubstr("metadata of segment 00000001 anew")));
  EXPECT_EQ(ParseSegment(*world.fs.Read(world.SegmentPath(1) + ".json"), "json").value(), good);
  EXPECT_TRUE(world.IsWhole());
}

TEST(RecoveryTest, DamagedLastSegmentIsNotTakenForAnEarlierBoots) {
  World world;
  world.reset_count.reset();
  world.config.keep_boots = 1;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.fs.Remove(world.SegmentPath(1) + ".json");
  world.fs.Find(world.SegmentPath(1) + ".ima")->data[5] ^= std::byte{1};
  const auto bytes = world.fs.Read(world.SegmentPath(1) + ".ima");
  world.kernel.MeasureFiles(2);
  auto taken = world.Take();
  ASSERT_TRUE(taken.ok()) << taken.error().ToString();
  EXPECT_EQ(taken->session, 1U);
  EXPECT_EQ(world.fs.Read(world.SegmentPath(1) + ".ima"), bytes);
  auto report = world.Verify(nullptr);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->segment, 1U);
}

TEST(RecoveryTest, CorruptedStoredSegmentIsNeverOverwritten) {
  World world;
  world.kernel.MeasureFiles(4);
  ASSERT_TRUE(world.Take().ok());
  world.fs.Find(world.SegmentPath(1) + ".ima")->data[5] ^= std::byte{1};
  const auto bytes = world.fs.Read(world.SegmentPath(1) + ".ima");
  world.kernel.MeasureFiles(2);
  ASSERT_TRUE(world.Take().ok());
  EXPECT_EQ(world.fs.Read(world.SegmentPath(1) + ".ima"), bytes);
  auto report = world.Verify(nullptr);
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report->finding);
  EXPECT_EQ(report->finding->segment, 1U);
}

TEST(RecoveryTest, RefusesASessionFileItDoesNotUnderstand) {
  World world;
  ASSERT_TRUE(world.Take().ok());
  world.fs.Write(kBoot1 + "/session.json", "{\"format\": 2}");
  const uint64_t attempts = world.kernel.attempts();
  auto taken = world.Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().file, kBoot1 + "/session.json");
  EXPECT_EQ(world.kernel.attempts(), attempts);
}

TEST(MetadataTest, RoundTripsAndRefusesWhatItDoesNotKnow) {
  SegmentInfo info;
  info.number = 3;
  info.attempt = 4;
  info.records = 5;
  info.bytes = 600;
  info.sha256 = testing::HashOf(HashAlg::kSha256, "x");
  info.first_record = 7;
  info.last_record = 11;
  info.taken = "2026-01-02T03:04:05Z";
  info.kernel = "7.3.0";
  info.state = SegmentState::kPurged;
  info.supersedes = 2;
  info.banks = {{"sha256", {{0, testing::HashOf(HashAlg::kSha256, "0")}}}};
  const std::string text = FormatSegment(info);
  EXPECT_EQ(ParseSegment(text, "f").value(), info);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"format\": 1", "\"format\": 2"},
           {"\"attempt\": 4", "\"attempt\": -4"},
           {"\"attempt\": 4", "\"attempt\": \"4\""},
           {"\"attempt\"", "\"attemps\""},
           {"\"purged\"", "\"gone\""},
           {info.sha256.Hex(), info.sha256.Hex().substr(2)},
           {"\"0\"", "\"24\""},
           {"{", "["},
       }) {
    std::string bad = text;
    ASSERT_NE(bad.find(from), std::string::npos) << from;
    bad.replace(bad.find(from), from.size(), to);
    auto parsed = ParseSegment(bad, "f");
    EXPECT_FALSE(parsed.ok()) << to;
  }
  for (size_t n = 0; n + 2 < text.size(); ++n) {
    EXPECT_FALSE(ParseSegment(text.substr(0, n), "f").ok()) << n;
  }
  const SessionInfo session{9, "2026-01-02T03:04:05Z", "7.3.0", 17, "m", "b", "c", "d"};
  const std::string formatted = FormatSession(session);
  EXPECT_EQ(ParseSession(formatted, "f").value(), session);
  // Files of before the last two members are read too.
  std::string old = formatted;
  old.erase(old.find(",\n  \"last_boot\""), old.find("\n}") - old.find(",\n  \"last_boot\""));
  EXPECT_EQ(ParseSession(old, "f")->boot, "b");
  EXPECT_EQ(ParseSession(old, "f")->closed, "");
  EXPECT_FALSE(ParseSession(text, "f").ok());
}

TEST(MetadataTest, NameThatIsNotKnownIsPrintedWithoutItsControlCharacters) {
  std::string text = FormatSession({});
  text.insert(1, "\"evil\\nOK\\u001b[2J\": 1,");
  const auto parsed = ParseSession(text, "f");
  ASSERT_FALSE(parsed.ok());
  EXPECT_THAT(parsed.error().message, HasSubstr("is not a member of this format"));
  for (const char c : parsed.error().message) {
    EXPECT_GE(c, ' ');
  }
}

TEST(MetadataTest, StringsAndBanksAreBounded) {
  SessionInfo session;
  session.machine = std::string(256, 'm');
  EXPECT_TRUE(ParseSession(FormatSession(session), "f").ok());
  session.machine += 'm';
  const auto long_text = ParseSession(FormatSession(session), "f");
  ASSERT_FALSE(long_text.ok());
  EXPECT_EQ(long_text.error().message, "\"machine\" is longer than 256 bytes");
  SegmentInfo segment;
  segment.sha256 = testing::HashOf(HashAlg::kSha256, "x");
  for (char bank = 'a'; bank < 'a' + 16; ++bank) {
    segment.banks.push_back({std::string(1, bank), {}});
    for (uint32_t pcr = 0; pcr < kTpmPcrs; ++pcr) {
      segment.banks.back().pcrs[pcr] = Digest::Filled(64, std::byte{1});
    }
  }
  const std::string largest = FormatSegment(segment);
  EXPECT_TRUE(ParseSegment(largest, "f").ok());
  EXPECT_LT(largest.size() * 4, kMaxMetadata);
  segment.banks.push_back({"z", {}});
  const auto many_banks = ParseSegment(FormatSegment(segment), "f");
  ASSERT_FALSE(many_banks.ok());
  EXPECT_EQ(many_banks.error().message, "\"pcrs\" has more than 16 banks");
}

TEST(MetadataTest, FileThatIsTooLargeIsNotRead) {
  World world;
  ASSERT_TRUE(world.Take().ok());
  const std::string info = world.SegmentPath(1) + ".json";
  world.fs.Write(info, *world.fs.Read(info) + std::string(kMaxMetadata, ' '));
  const auto session = world.Env().store().Load(1);
  ASSERT_TRUE(session.ok());
  EXPECT_FALSE(session->segments[0].info);
  EXPECT_THAT(session->segments[0].info_error->ToString(), HasSubstr("larger than 262144 bytes"));
  const std::string file = kBoot1 + "/session.json";
  world.fs.Write(file, *world.fs.Read(file) + std::string(kMaxMetadata, ' '));
  EXPECT_FALSE(world.Env().store().Load(1).ok());
}

}  // namespace
}  // namespace imasnap
