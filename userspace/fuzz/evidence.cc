// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <vector>

#include "evidence/evidence_reader.h"
#include "evidence/manifest.h"
#include "targets.h"

namespace imasnap::fuzz {
namespace {

// The beginning of each part; a sparse entry may claim any size.
Result<std::vector<Bytes>> ReadParts(const EvidenceReader& reader) {
  constexpr size_t kEnough = size_t{256} * 1024;
  std::vector<Bytes> parts;
  for (const LogPart& part : reader.parts()) {
    if (part.discarded) {
      continue;
    }
    IMASNAP_ASSIGN(const std::unique_ptr<File> file, part.open());
    Bytes& bytes = parts.emplace_back();
    Bytes buffer(1000);
    while (bytes.size() < kEnough) {
      IMASNAP_ASSIGN(const size_t got, file->Read(buffer));
      if (got == 0) {
        break;
      }
      AppendBytes(ByteView(buffer).first(got), &bytes);
    }
  }
  return parts;
}

}  // namespace

Status Evidence(ByteView input) {
  const auto open = [input]() -> Result<std::unique_ptr<ByteSource>> {
    return std::unique_ptr<ByteSource>(std::make_unique<SpanSource>(input));
  };
  const auto reader = EvidenceReader::Open(open, "evidence");
  if (!reader.ok()) {
    return Require(reader.error().code == ErrorCode::kCannotCheck,
                   "what is no evidence cannot be checked");
  }
  const auto first = ReadParts(**reader);
  const auto again = ReadParts(**reader);
  IMASNAP_RETURN_IF_ERROR(Require(first.ok() == again.ok(), "a part can be read again"));
  return Require(!first.ok() || *first == *again, "a part is the same when it is read again");
}

}  // namespace imasnap::fuzz
