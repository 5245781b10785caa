// SPDX-License-Identifier: GPL-2.0-or-later
//
// Libraries that are loaded when they are first needed. Loading those of the TPM
// takes as long as verifying thousands of records, and verifying needs none.
//
// In the namespace a pointer with a function's own name stands for the function:
// it is called as ever, after the library was loaded.
//
//   #define IMASNAP_FOO(function) function(Foo_Open) function(Foo_Close)
//   IMASNAP_FOO(IMASNAP_DECLARE_LOADED)              in the header
//   IMASNAP_FOO(IMASNAP_DEFINE_LOADED)               in the source
//   LoadLibrary("libfoo.so.1", {IMASNAP_FOO(IMASNAP_LOADED)})
#ifndef IMASNAP_LOADED_LIBRARY_H_
#define IMASNAP_LOADED_LIBRARY_H_

#include <initializer_list>

#include "result.h"

// NOLINTBEGIN(bugprone-macro-parentheses): what is declared cannot have them
#define IMASNAP_DECLARE_LOADED(function) extern decltype(&::function) function;
#define IMASNAP_DEFINE_LOADED(function) decltype(&::function) function = nullptr;
// NOLINTEND(bugprone-macro-parentheses)
#define IMASNAP_LOADED(function) {#function, reinterpret_cast<void**>(&(function))},

namespace imasnap {

struct LoadedFunction {
  const char* name;
  void** pointer;
};

// Sets all pointers, for ever; kCannotCheck when the library is not there or lacks
// one of the functions.
Status LoadLibrary(const char* soname, std::initializer_list<LoadedFunction> functions);

}  // namespace imasnap

#endif  // IMASNAP_LOADED_LIBRARY_H_
