// SPDX-License-Identifier: GPL-2.0-or-later
//
// The maximum sizes of a record's parts, and records that are almost violations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "log/log_reader.h"
#include "log/replay.h"
#include "log_builder.h"
#include "replay_record.h"

namespace imasnap {
namespace {

using testing::BuiltRecord;
using testing::ImaRecord;
using testing::ReplayRecord;
using testing::Violation;

Result<uint64_t> CountRecords(const Bytes& log, LogReader::Check check) {
  SpanSource source(log);
  LogReader reader(source, {}, "log", check);
  while (true) {
    IMASNAP_ASSIGN(const Record* record, reader.Next());
    if (record == nullptr) {
      return reader.records();
    }
  }
}

// Of a template that is not known, where only the framing matters.
BuiltRecord Unknown(size_t name_length, size_t data_length) {
  BuiltRecord record;
  record.template_name = std::string(name_length, 'x');
  record.fields = {Bytes(data_length - 4)};  // its length comes before it
  return record;
}

TEST(RecordLimitsTest, LongestTemplateNameIsReadAndALongerOneIsNot) {
  const auto framing = LogReader::Check::kFraming;
  EXPECT_EQ(CountRecords(Unknown(kMaxTemplateName, 8).Binary(), framing).value(), 1U);
  EXPECT_FALSE(CountRecords(Unknown(kMaxTemplateName + 1, 8).Binary(), framing).ok());
}

TEST(RecordLimitsTest, LargestTemplateDataIsReadAndLargerIsNot) {
  const auto framing = LogReader::Check::kFraming;
  EXPECT_EQ(CountRecords(Unknown(5, kMaxTemplateData).Binary(), framing).value(), 1U);
  EXPECT_FALSE(CountRecords(Unknown(5, kMaxTemplateData + 1).Binary(), framing).ok());
}

TEST(RecordLimitsTest, LongestNameOfTheFirstTemplateIsReadAndALongerOneIsNot) {
  const auto strict = LogReader::Check::kStrict;
  EXPECT_EQ(CountRecords(ImaRecord(std::string(kImaEventNameMax, 'n')).Binary(), strict).value(),
            1U);
  EXPECT_FALSE(
      CountRecords(ImaRecord(std::string(kImaEventNameMax + 1, 'n')).Binary(), strict).ok());
}

// The digest that a violation extends does not depend on its data. A record that
// wrongly counts as one could contain anything.
TEST(RecordLimitsTest, DigestWithAnyBitSetIsNotAViolation) {
  const Bytes good = Violation("/file").Binary();
  const size_t size = DigestSize(HashAlg::kSha1);
  for (size_t bit = 0; bit < 8 * size; ++bit) {
    Bytes log = good;
    log[4 + bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    SpanSource source(log);
    LogReader reader(source, {}, "log");
    const auto record = reader.Next();
    ASSERT_TRUE(record.ok());
    EXPECT_FALSE((*record)->IsViolation()) << bit;
    Replay replay({{.alg = HashAlg::kSha256}});
    const Status added = ReplayRecord(&replay, **record);
    ASSERT_FALSE(added.ok()) << bit;
    EXPECT_EQ(added.error().code, ErrorCode::kMismatch);
    EXPECT_EQ(added.error().cause, Cause::kTemplateDigest);
  }
}

}  // namespace
}  // namespace imasnap
