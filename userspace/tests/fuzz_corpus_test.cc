// SPDX-License-Identifier: GPL-2.0-or-later
//
// Each file of the fuzzers' corpus through its target, and what the corpus was
// made from cut and flipped: what a fuzzer found once stays found.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "targets.h"

namespace imasnap {
namespace {

std::vector<std::filesystem::path> CorpusOf(const std::string& target) {
  std::vector<std::filesystem::path> files;
  const auto directory = std::filesystem::path(IMASNAP_FUZZ_CORPUS) / target;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    files.push_back(entry.path());
  }
  return files;
}

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class FuzzCorpusTest : public ::testing::TestWithParam<fuzz::NamedTarget> {
 protected:
  static void Run(const std::string& input, const std::string& what) {
    const Status held = GetParam().run(AsBytes(input));
    EXPECT_TRUE(held.ok()) << what << ": " << held.error().ToString();
  }
};

TEST_P(FuzzCorpusTest, HoldsForEachFileAndForWhatIsLeftOfItWhenCut) {
  const auto files = CorpusOf(GetParam().name);
  ASSERT_FALSE(files.empty());
  for (const auto& path : files) {
    const std::string input = ReadAll(path);
    for (size_t length = 0; length <= input.size(); ++length) {
      Run(input.substr(0, length), path.string() + " cut at " + std::to_string(length));
    }
  }
}

TEST_P(FuzzCorpusTest, HoldsForEachFileWithAByteChanged) {
  for (const auto& path : CorpusOf(GetParam().name)) {
    std::string input = ReadAll(path);
    for (size_t at = 0; at < input.size(); ++at) {
      for (const char mask : {'\x01', '\x10', '\xff'}) {
        input[at] = static_cast<char>(input[at] ^ mask);
        Run(input, path.string() + " changed at " + std::to_string(at));
        input[at] = static_cast<char>(input[at] ^ mask);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzCorpusTest,
                         ::testing::ValuesIn(fuzz::Targets().begin(), fuzz::Targets().end()),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace imasnap
