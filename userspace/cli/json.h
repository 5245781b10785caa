// SPDX-License-Identifier: GPL-2.0-or-later
//
// What commands print with --json.
#ifndef IMASNAP_CLI_JSON_H_
#define IMASNAP_CLI_JSON_H_

#include "base/result.h"
#include "log/log_reader.h"
#include "snapshot/note.h"
#include "store/metadata.h"
#include "store/own_json.h"
#include "store/store.h"

namespace imasnap::cli {

using Json = own_json::OrderedJson;
using own_json::OrNull;

Json ToJson(const Error& error);
Json ToJson(const Notes& notes);
// What a program needs of them: the kind as `event`, and the number.
Json EventsJson(const Notes& notes);
Json ToJson(const SegmentInfo& info);
Json ToJson(const Segment& segment);
// `number` is the record's since cold boot.
Json ToJson(const Record& record, uint64_t number);

// One line; bytes that are not UTF-8 are replaced.
std::string Dump(const Json& json);

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_JSON_H_
