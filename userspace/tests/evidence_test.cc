// SPDX-License-Identifier: GPL-2.0-or-later
//
// Evidence: a machine with a software TPM, and a verifier that has only the file, the
// key and its state.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "evidence/evidence_reader.h"
#include "evidence/evidence_writer.h"
#include "quote_fixture.h"
#include "tampering.h"

namespace imasnap::cli {
namespace {

class EvidenceTest : public QuoteTest {
 protected:
  void SetUp() override {
    QuoteTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    ASSERT_EQ(CreateAk("ecc", "ak").code, 0);
    for (int i = 0; i < 3; ++i) {
      Measure(5);
      Take();
    }
    Measure(2);
    key_ = world_.fs.Read(testing::kStore + "/ak/ak.pub").value();
  }

  void Take(const std::vector<std::string>& command = {"take"}) {
    const Ran ran = Run(command);
    ASSERT_EQ(ran.code, 0) << ran.err;
    Extend();
  }

  // Evidence on the machine.
  std::string Make(const std::vector<std::string>& more = {}, const std::string& nonce = kNonce) {
    std::vector<std::string> args = {"evidence", "--nonce", nonce};
    args.insert(args.end(), more.begin(), more.end());
    const Ran ran = Run(args);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.out;
  }

  // The verifier has a file system of its own, and neither kernel nor TPM.
  Ran Check(const std::string& evidence, const std::vector<std::string>& more = {},
            const std::string& nonce = kNonce, bool from_stream = false) {
    verifier_.fs.Write("/ak", key_);
    verifier_.fs.Write("/evidence", evidence);
    std::istringstream in(evidence);
    std::ostringstream out;
    std::ostringstream err;
    const Host host{.fs = verifier_.fs,
                    .out = out,
                    .err = err,
                    .in = &in,
                    .owner = 0,
                    .now = [] { return std::string("2026-01-02T03:04:05Z"); },
                    .kernel_release = "7.3.0-test",
                    .open_tpm = [](const std::string& tcti) -> Result<std::unique_ptr<PcrReader>> {
                      return FileError(ErrorCode::kCannotCheck, tcti, "there is no TPM");
                    },
                    .reset_count = [](const std::string&) { return std::nullopt; }};
    std::vector<std::string> args = {"verify", "--evidence", from_stream ? "-" : "/evidence",
                                     "--ak",   "/ak",        "--nonce",
                                     nonce,    "--json"};
    args.insert(args.end(), more.begin(), more.end());
    const int code = RunApp(args, host);
    return {code, out.str(), err.str()};
  }

  std::string key_;
  testing::World verifier_;
};

TEST_F(EvidenceTest, WholeLogIsVerifiedElsewhere) {
  const std::string evidence = Make();
  for (const bool from_stream : {false, true}) {
    const Ran ran = Check(evidence, {}, kNonce, from_stream);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.json["records"], world_.kernel.total());
    EXPECT_EQ(ran.json["matched_record"], world_.kernel.total());
    EXPECT_EQ(ran.json["segments"], 3);
    EXPECT_EQ(ran.json["quote"]["reset_count_checked"], true);
  }
  ASSERT_EQ(Run({"evidence", "--nonce", kNonce, "--out", "/file"}).code, 0);
  EXPECT_EQ(Check(world_.fs.Read("/file").value()).code, 0);
  EXPECT_EQ(Run({"evidence", "--nonce", kNonce, "--out", "/file"}).code, 1) << "it exists";
}

// RFC D.4: after the first time, only what is new.
TEST_F(EvidenceTest, WithAStateOnlyWhatIsNewIsNeeded) {
  const std::vector<std::string> state = {"--state", "/state"};
  const Ran first = Check(Make(), state);
  ASSERT_EQ(first.code, 0) << first.err;
  Measure(4);
  Take();
  Measure(4);
  Take();
  Measure(1);
  const std::string rest = Make({"--after-attempt", "3"});
  const Ran ran = Check(rest, state);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["records"], world_.kernel.total());
  EXPECT_EQ(ran.json["records_read"],
            world_.kernel.total() - first.json["state"]["records"].get<uint64_t>());
  EXPECT_LT(rest.size(), Make().size());
  // Without a state, or with one of before, it asks for what it needs.
  const Ran lost = Check(rest, {"--state", "/other"});
  EXPECT_EQ(lost.code, 4);
  EXPECT_EQ(lost.error["cause"], "evidence_too_late");
  EXPECT_EQ(lost.error["needs_after_attempt"], 0);
  const Ran late = Check(Make({"--after-attempt", "5"}), {"--state", "/state"});
  EXPECT_EQ(late.code, 0) << "the state covers what came before";
  EXPECT_EQ(Check(Make(), {"--state", "/other"}).code, 0);
  const Ran unknown = RunJson({"evidence", "--nonce", kNonce, "--after-attempt", "77"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_EQ(unknown.error["cause"], "segment_unknown");
}

TEST_F(EvidenceTest, StateThatEndsTooEarlyAsksFromItsOwnAttempt) {
  ASSERT_EQ(Check(Make(), {"--state", "/state"}).code, 0);
  Measure(4);
  Take();
  Measure(4);
  Take();
  const Ran ran = Check(Make({"--after-attempt", "4"}), {"--state", "/state"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["needs_after_attempt"], 3);
  EXPECT_EQ(Check(Make({"--after-attempt", "3"}), {"--state", "/state"}).code, 0);
}

// A client that discarded what was verified satisfies the verifier that has the state.
TEST_F(EvidenceTest, DiscardedSegmentsAreNotNeededWithAState) {
  ASSERT_EQ(Check(Make(), {"--state", "/state"}).code, 0);
  ASSERT_EQ(Run({"verify", "--tpm", "--state", "/own"}).code, 0);
  world_.fs.Write("/etc/ima-snapshot.conf", "discard = \"verified\"\n");
  ASSERT_EQ(Run({"gc", "--state", "/own"}).code, 0);
  const std::string evidence = Make();
  EXPECT_EQ(Check(evidence, {"--state", "/state"}).code, 0);
  const Ran ran = Check(evidence);
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.error["cause"], "evidence_too_late");
}

TEST_F(EvidenceTest, StagedRecordsAreAPartOfIt) {
  world_.kernel.has_staging = true;
  ASSERT_EQ(world_.kernel.Stage(), 0);
  Measure(3);
  const Ran ran = Check(Make());
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json["records"], world_.kernel.total());
}

TEST_F(EvidenceTest, ReplayedForeignAndChangedEvidenceIsRefused) {
  const std::string evidence = Make();
  // Another nonce, another key.
  EXPECT_EQ(Check(evidence, {}, "ff" + kNonce.substr(2)).error["cause"], "nonce");
  const std::string good_key = key_;
  ASSERT_EQ(CreateAk("ecc", "other").code, 0);
  key_ = world_.fs.Read(testing::kStore + "/ak/other.pub").value();
  EXPECT_EQ(Check(evidence).code, 3);
  key_ = good_key;
  // Each byte of the log, of the quote and of its values counts. Those of the archive's
  // own fields and padding may not.
  const std::string all(AsText(world_.kernel.Everything()));
  const size_t segment = evidence.find(all.substr(0, 40));
  ASSERT_NE(segment, std::string::npos);
  for (const size_t at : {segment, segment + 30, segment + 70, evidence.rfind("/file/") + 1}) {
    std::string bad = evidence;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_EQ(Check(bad).code, 3) << at;
  }
  // Evidence of before, with the state of after.
  ASSERT_EQ(Check(evidence, {"--state", "/state"}).code, 0);
  const std::string later_nonce = "aa";
  ASSERT_EQ(Check(Make({}, later_nonce), {"--state", "/state"}, later_nonce).code, 0);
  EXPECT_EQ(Check(evidence, {"--state", "/state"}).error["cause"], "quote_replayed");
}

// Whatever is cut off, it is an answer and no success.
TEST_F(EvidenceTest, CutEvidenceIsNeverAccepted) {
  const std::string evidence = Make();
  const size_t live = evidence.rfind("live.ima");
  const std::string size_field = evidence.substr(live + 124, 11);  // of its header, octal
  const size_t end = live + 512 + std::stoul(size_field, nullptr, 8);
  for (size_t length = 0; length < end; length += 97) {
    const Ran ran = Check(evidence.substr(0, length));
    EXPECT_TRUE(ran.code == 3 || ran.code == 4) << length << ": " << ran.code << ran.err;
  }
}

TEST_F(EvidenceTest, OfAListThatDoesNotContinueTheStoreIsRefused) {
  testing::Drop(&world_, 3);
  const Ran ran = RunJson({"evidence", "--nonce", kNonce});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.error["cause"], "not_continued");
  EXPECT_TRUE(ran.out.empty());
}

TEST_F(EvidenceTest, UsageIsRefused) {
  EXPECT_EQ(Run({"evidence"}).code, 2);
  EXPECT_EQ(Run({"evidence", "--nonce", "xy"}).code, 2);
  EXPECT_EQ(Run({"evidence", "--nonce", kNonce, "--ak", "none"}).code, 2);
  EXPECT_EQ(Check("", {"--tpm"}).code, 2);
  EXPECT_EQ(Check("", {"--from-dir", "/x"}).code, 2);
  EXPECT_EQ(Check("", {"--pcrs", "/x"}).code, 2);
  EXPECT_EQ(Check("").error["cause"], "not_evidence");
  EXPECT_EQ(Check("").code, 4);
  EXPECT_EQ(Check(std::string(4096, 'x')).code, 4);
  EXPECT_EQ(Run({"verify", "--nonce", kNonce}).code, 2);
  EXPECT_EQ(Run({"verify", "--evidence", "/evidence", "--nonce", kNonce}).code, 2);
}

}  // namespace
}  // namespace imasnap::cli
