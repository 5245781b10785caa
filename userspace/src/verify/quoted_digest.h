// SPDX-License-Identifier: GPL-2.0-or-later
//
// The digest over PCRs in a quote. The log may match at any record that is read.
#ifndef IMASNAP_VERIFY_QUOTED_DIGEST_H_
#define IMASNAP_VERIFY_QUOTED_DIGEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tpm/quote_check.h"
#include "verify/comparison.h"

namespace imasnap {

class QuotedDigest : public Comparison {
 public:
  explicit QuotedDigest(QuotedPcrs quoted) : quoted_(std::move(quoted)) {}

  Result<std::vector<std::string>> BankNames() override;
  Status Begin(RecordChain* chain, const std::vector<uint32_t>& ima_pcrs) override;
  void Compare(const RecordChain& chain, std::optional<uint32_t> extended) override;
  Status Finish(RecordChain* chain, const ReadNext& read_next) override;
  const std::optional<Match>& match() const override { return match_; }

 private:
  // `bank` is an index of the selection.
  bool Extends(const Replay& replay, size_t bank, uint32_t pcr) const;
  const Digest* Given(size_t bank, uint32_t pcr) const;
  const Digest& Value(const Replay& replay, size_t bank, uint32_t pcr) const;
  // The first PCR whose value is known and differs from that of the replay.
  std::optional<std::pair<size_t, uint32_t>> FirstDifference(const Replay& replay) const;
  Digest ReplayedDigest(const Replay& replay) const;
  bool Matches(const Replay& replay) const;
  Match MatchAt(const Replay& replay) const;
  Finding NoMatch(const RecordChain& chain) const;

  QuotedPcrs quoted_;
  std::vector<std::optional<size_t>> banks_;  // of the selection, in the replay
  ComparedPcrs compared_;
  bool matches_ = false;  // at the last record
  std::optional<Match> match_;
};

}  // namespace imasnap

#endif  // IMASNAP_VERIFY_QUOTED_DIGEST_H_
