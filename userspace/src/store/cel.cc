// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/cel.h"

#include "store/own_json.h"

namespace imasnap {

void AppendCel(const Record& record, uint64_t number, const std::vector<HashAlg>& algs,
               std::span<const Digest> digests, std::string* out) {
  using own_json::OrderedJson;
  OrderedJson json;
  json["recnum"] = number - 1;
  json["pcr"] = record.pcr;
  json["digests"] = OrderedJson::array();
  for (size_t i = 0; i < algs.size(); ++i) {
    const Digest digest =
        record.IsViolation() ? Digest::Filled(DigestSize(algs[i]), std::byte{0xff}) : digests[i];
    json["digests"].push_back({{"hashAlg", HashName(algs[i])}, {"digest", digest.Hex()}});
  }
  json["content_type"] = "ima_template";
  json["content"] = {{"template_name", record.template_name},
                     {"template_data", ToHex(record.template_data)}};
  out->append(json.dump());
}

}  // namespace imasnap
