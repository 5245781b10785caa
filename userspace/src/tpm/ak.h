// SPDX-License-Identifier: GPL-2.0-or-later
//
// Attestation keys of the store: <store>/ak/<name>.{pub,priv,pem}.
//
// An AK is a restricted signing key below a storage primary that is made anew
// from a fixed template whenever the key is used; nothing stays in the TPM. The
// primary is of the endorsement hierarchy: a key of the owner hierarchy gives
// obfuscated reset and restart counts in its quotes (TPM 2.0 Part 1,
// attestation), and boots could not be told apart by them.
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
  Bytes private_area;  // TPM2B_PRIVATE: encrypted, of use to this TPM alone until TPM2_Clear
  AkFiles files;       // where it was read, for errors
};

// Makes a key. Errors are kCannotCheck and say what the TPM answered.
Result<Ak> MakeAk(const Tpm& tpm, AkType type);

// Loads the key for use; kCannotCheck when it is not of this TPM, or before TPM2_Clear.
Result<TransientObject> LoadAk(const Tpm& tpm, const Ak& ak);

// kUsage for a name that cannot be a file's: letters, digits, "-", "_" and "."
// (not in front), at most 64.
Result<AkFiles> AkFilesOf(const std::string& store, const std::string& name);

// Whether the store has the key: the public part is written last.
Result<bool> HasAk(FileSystem& fs, const AkFiles& files);

// Writes the key durably, with modes 0640 and, for the private part, 0600.
// `lock` of LockAks() must be held.
Status WriteAk(FileSystem& fs, const AkFiles& files, const Ak& ak);

// Makes the directory of the keys and keeps others from creating a key in it;
// kLocked when another process does.
Result<std::unique_ptr<File>> LockAks(FileSystem& fs, const AkFiles& files);

// kUsage when there is none.
Result<Ak> ReadAk(FileSystem& fs, const AkFiles& files);

}  // namespace imasnap

#endif  // IMASNAP_TPM_AK_H_
