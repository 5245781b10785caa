// SPDX-License-Identifier: GPL-2.0-or-later
//
// The names of causes and notes, which programs may rely on.
#include "base/cause.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "snapshot/note.h"

namespace imasnap {
namespace {

// The words of one section of a manual page.
std::set<std::string> WordsOf(const std::string& page, const std::string& section) {
  std::ifstream file(std::string(IMASNAP_MANUALS) + "/" + page);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t begin = text.find(".SH " + section + "\n");
  if (begin == std::string::npos) {
    return {};
  }
  const std::string found = text.substr(begin, text.find("\n.SH ", begin) - begin);
  const std::regex word("[a-z0-9_]+");
  return {std::sregex_token_iterator(found.begin(), found.end(), word), {}};
}

TEST(CauseTest, EachHasANameOfItsOwnThatTheManualLists) {
  const std::set<std::string> manual = WordsOf("ima-snapshot.1", "CAUSES");
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(kLastCause); ++i) {
    const std::string name = CauseName(static_cast<Cause>(i));
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_TRUE(manual.contains(name)) << name;
  }
}

TEST(CauseTest, TheManualOfTheDaemonListsTheNotesOfASnapshot) {
  const std::set<std::string> manual = WordsOf("ima-snapshotd.8", "LOG");
  for (int i = 0; i < static_cast<int>(NoteKind::kKeptMissing); ++i) {
    const std::string name = NoteName(static_cast<NoteKind>(i));
    EXPECT_TRUE(manual.contains(name)) << name;
  }
}

}  // namespace
}  // namespace imasnap
