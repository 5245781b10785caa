// SPDX-License-Identifier: GPL-2.0-or-later
//
// The arguments of each command.
#ifndef IMASNAP_CLI_ARGUMENTS_H_
#define IMASNAP_CLI_ARGUMENTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tpm/ak.h"
#include "verify/verify.h"

namespace imasnap::cli {

struct TakeArguments {
  bool mark = false;
  bool final = false;
};

struct ShowArguments {
  std::string segment;
  uint64_t top = 0;  // not 0: show so many names of each part instead

  // Of one in the store, not of a list in the kernel.
  bool OfSegment() const { return top == 0 && segment != "live" && segment != "staged"; }
};

struct CatArguments {
  bool ascii = false;
  bool cel = false;
  std::string hash;  // empty: not given
  uint64_t from = 1;
  uint64_t count = UINT64_MAX;
  std::string after_digest;  // in hexadecimal
};

// Of verify.
struct QuoteFiles {
  std::string message;
  std::string signature;
  std::string ak;
  std::string nonce;
  bool ignore_reset_count = false;

  bool given() const { return !message.empty(); }
};

struct VerifyArguments {
  bool tpm = false;
  std::vector<std::string> pcr_files;
  std::string state;
  std::string state_key;
  std::string evidence;  // "-": standard input
  std::string from_dir;
  std::string live;
  std::optional<uint64_t> session;
  std::vector<uint32_t> ima_pcr;  // and those of a policy; empty: not given
  QuoteFiles quote;
};

struct EvidenceArguments {
  std::string nonce;
  std::string ak = kDefaultAkName;
  std::string pcrs;
  uint64_t after_attempt = 0;
  std::string out;  // empty: standard output
};

struct MountArguments {
  std::string directory;
};

struct GcArguments {
  std::string state;
  std::string state_key;
};

struct AkArguments {
  std::string type = "rsa";
  std::string name = kDefaultAkName;
};

struct QuoteArguments {
  std::string nonce;
  std::string ak = kDefaultAkName;
  std::string pcrs;
  std::string directory;
  std::string message;
  std::string signature;
  std::string pcrs_out;
  bool then_take = false;
};

}  // namespace imasnap::cli

#endif  // IMASNAP_CLI_ARGUMENTS_H_
