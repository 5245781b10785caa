// SPDX-License-Identifier: GPL-2.0-or-later
//
// The attestation keys of the store: <store>/ak/<name>.{pub,priv,pem}.
//
// An AK is a restricted signing key below a storage primary. The primary is created
// again from a fixed template whenever the key is used; nothing stays in the TPM. The
// primary belongs to the endorsement hierarchy: quotes of a key of the owner hierarchy
// have obfuscated reset and restart counts (TPM 2.0 Part 1, attestation), which cannot
// identify boots.
#ifndef IMASNAP_TPM_AK_H_
#define IMASNAP_TPM_AK_H_

#include <string>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tpm/attest.h"
#include "tpm/tpm.h"
#include "tpm/tpm_context.h"

namespace imasnap {

inline constexpr const char* kDefaultAkName = "ak";

enum class AkType {
  kRsa,  // RSA-2048, RSASSA with SHA-256
  kEcc,  // NIST P-256, ECDSA with SHA-256
};

struct AkFiles {
  std::string directory;
  std::string public_area;
  std::string private_area;
  std::string pem;
};

struct Ak {
  Bytes public_area;   // TPM2B_PUBLIC
  Bytes private_area;  // TPM2B_PRIVATE: encrypted; only this TPM can use it, until TPM2_Clear
  AkFiles files;       // where it was read from, for errors
};

// Creates a key. Errors are kCannotCheck and give the answer of the TPM.
Result<Ak> MakeAk(const Tpm& tpm, AkType type);

// Loads the key for use; kCannotCheck if another TPM made it, or this one before
// TPM2_Clear.
Result<TransientObject> LoadAk(const Tpm& tpm, const Ak& ak);

// kUsage unless the name has 1 to 64 letters, digits, "-", "_" and ".", and does not
// begin with ".".
Result<AkFiles> AkFilesOf(const std::string& store, const std::string& name);

// Whether the store has the key: the public part is written last.
Result<bool> HasAk(FileSystem& fs, const AkFiles& files);

// Writes the key durably, with modes 0640 and, for the private part, 0600.
// `lock` of LockAks() must be held.
Status WriteAk(FileSystem& fs, const AkFiles& files, const Ak& ak);

// Creates the directory of the keys, and keeps other processes from creating a key in
// it; kLocked if one is doing that.
Result<std::unique_ptr<File>> LockAks(FileSystem& fs, const AkFiles& files);

// kUsage if there is no such key.
Result<Ak> ReadAk(FileSystem& fs, const AkFiles& files);

}  // namespace imasnap

#endif  // IMASNAP_TPM_AK_H_
