// SPDX-License-Identifier: GPL-2.0-or-later
//
// The files of the view: the same as those of the kernel.
#ifndef IMASNAP_VIEW_VIEW_FILES_H_
#define IMASNAP_VIEW_VIEW_FILES_H_

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/environment.h"
#include "view/view_format.h"

namespace imasnap {

struct ViewFile {
  enum class Kind {
    kLog,     // the whole log in `format`
    kCount,   // runtime_measurements_count: records of the whole log
    kKernel,  // a small file of the kernel, passed through
  };
  std::string name;
  Kind kind = Kind::kLog;
  ViewFormat format;
  uint32_t mode = 0440;
};

// ascii_ and binary_runtime_measurements, the same with every suffix that the kernel
// has (sha1 and sha256 if it has none), runtime_measurements_count and, if the kernel
// has them, violations, policy and the counters of snapshots. `notes` gets what was
// left out and why.
Result<std::vector<ViewFile>> ListViewFiles(const Environment& env,
                                            const std::function<void(const Error&)>& report);

}  // namespace imasnap

#endif  // IMASNAP_VIEW_VIEW_FILES_H_
