// SPDX-License-Identifier: GPL-2.0-or-later
#include "loaded_library.h"

#include <dlfcn.h>

namespace imasnap {
namespace {

Error NotLoaded(const char* soname) {
  const char* why = ::dlerror();
  return FileError(ErrorCode::kCannotCheck, soname, why != nullptr ? why : "cannot be loaded");
}

}  // namespace

Status LoadLibrary(const char* soname, std::initializer_list<LoadedFunction> functions) {
  void* const library = ::dlopen(soname, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return NotLoaded(soname);
  }
  for (const LoadedFunction& function : functions) {
    *function.pointer = ::dlsym(library, function.name);
    if (*function.pointer == nullptr) {
      return NotLoaded(soname);
    }
  }
  return {};
}

}  // namespace imasnap
