// SPDX-License-Identifier: GPL-2.0-or-later
//
// The functions of libfuse that the view calls, loaded when it is mounted.
#ifndef IMASNAP_FUSE_FUNCTIONS_H_
#define IMASNAP_FUSE_FUNCTIONS_H_

#include <fuse_lowlevel.h>

#include "loaded_library.h"

#define IMASNAP_FUSE(function)                                                                  \
  function(fuse_add_direntry) function(fuse_opt_add_arg) function(fuse_opt_free_args)           \
      function(fuse_reply_attr) function(fuse_reply_buf) function(fuse_reply_entry)             \
          function(fuse_reply_err) function(fuse_reply_iov) function(fuse_reply_open)           \
              function(fuse_req_userdata) function(fuse_session_destroy)                        \
                  function(fuse_session_exited) function(fuse_session_fd)                       \
                      function(fuse_session_mount) function(fuse_session_new)                   \
                          function(fuse_session_process_buf) function(fuse_session_receive_buf) \
                              function(fuse_set_log_func)

namespace imasnap {

IMASNAP_FUSE(IMASNAP_DECLARE_LOADED)

// Once; as LoadLibrary().
Status LoadFuse();

}  // namespace imasnap

#endif  // IMASNAP_FUSE_FUNCTIONS_H_
