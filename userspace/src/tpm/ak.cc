// SPDX-License-Identifier: GPL-2.0-or-later
#include "tpm/ak.h"

#include <fmt/format.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

#include <algorithm>
#include <cerrno>

namespace imasnap {
namespace {

constexpr size_t kMaxNameLength = 64;
constexpr size_t kMaxFileSize = 4096;

constexpr TPMA_OBJECT kOwnKey = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                // There is no password to guess, and so a TPM in
                                // lockout because of other keys still quotes.
                                TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED;

// The same template always gives the same key. It is documented in
// ima-snapshot-quote(1), for tpm2_createprimary: it must not change.
TPM2B_PUBLIC PrimaryTemplate() {
  TPM2B_PUBLIC area{};
  area.publicArea.type = TPM2_ALG_ECC;
  area.publicArea.nameAlg = TPM2_ALG_SHA256;
  area.publicArea.objectAttributes = kOwnKey | TPMA_OBJECT_DECRYPT;
  TPMS_ECC_PARMS& ecc = area.publicArea.parameters.eccDetail;
  ecc.symmetric.algorithm = TPM2_ALG_AES;
  ecc.symmetric.keyBits.aes = 128;
  ecc.symmetric.mode.aes = TPM2_ALG_CFB;
  ecc.scheme.scheme = TPM2_ALG_NULL;
  ecc.curveID = TPM2_ECC_NIST_P256;
  ecc.kdf.scheme = TPM2_ALG_NULL;
  return area;
}

TPM2B_PUBLIC AkTemplate(AkType type) {
  TPM2B_PUBLIC area{};
  area.publicArea.nameAlg = TPM2_ALG_SHA256;
  area.publicArea.objectAttributes = kOwnKey | TPMA_OBJECT_SIGN_ENCRYPT;
  if (type == AkType::kRsa) {
    area.publicArea.type = TPM2_ALG_RSA;
    TPMS_RSA_PARMS& rsa = area.publicArea.parameters.rsaDetail;
    rsa.symmetric.algorithm = TPM2_ALG_NULL;
    rsa.scheme.scheme = TPM2_ALG_RSASSA;
    rsa.scheme.details.rsassa.hashAlg = TPM2_ALG_SHA256;
    rsa.keyBits = 2048;
  } else {
    area.publicArea.type = TPM2_ALG_ECC;
    TPMS_ECC_PARMS& ecc = area.publicArea.parameters.eccDetail;
    ecc.symmetric.algorithm = TPM2_ALG_NULL;
    ecc.scheme.scheme = TPM2_ALG_ECDSA;
    ecc.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
    ecc.curveID = TPM2_ECC_NIST_P256;
    ecc.kdf.scheme = TPM2_ALG_NULL;
  }
  return area;
}

Error PrimaryError(TSS2_RC rc) {
  Error error = TpmError("TPM2_CreatePrimary", rc);
  if (IsTpmRc(rc, TPM2_RC_BAD_AUTH) || IsTpmRc(rc, TPM2_RC_AUTH_FAIL)) {
    error.cause = Cause::kHierarchyPassword;
    error.message +=
        ": the endorsement hierarchy has a password, and AKs are only made and used without one "
        "(tpm2_changeauth -c e -p PASSWORD removes it)";
  } else if (IsTpmRc(rc, TPM2_RC_HIERARCHY)) {
    error.cause = Cause::kHierarchyDisabled;
    error.message += ": the endorsement hierarchy is disabled (in the firmware's settings)";
  }
  return error;
}

Result<TransientObject> MakePrimary(const TpmContext& tpm) {
  const TPM2B_PUBLIC area = PrimaryTemplate();
  const TPM2B_SENSITIVE_CREATE no_password{};
  const TPM2B_DATA no_data{};
  const TPML_PCR_SELECTION no_pcrs{};
  ESYS_TR handle = ESYS_TR_NONE;
  const TSS2_RC rc = Esys_CreatePrimary(tpm.esys(), ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
                                        ESYS_TR_NONE, ESYS_TR_NONE, &no_password, &area, &no_data,
                                        &no_pcrs, &handle, nullptr, nullptr, nullptr, nullptr);
  if (rc != TSS2_RC_SUCCESS) {
    return PrimaryError(rc);
  }
  return TransientObject(tpm, handle);
}

template <typename T, typename Unmarshal>
Result<T> Unmarshalled(ByteView bytes, Unmarshal unmarshal, const std::string& file,
                       const char* type) {
  T value{};
  size_t end = 0;
  const TSS2_RC rc =
      unmarshal(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), &end, &value);
  if (rc != TSS2_RC_SUCCESS || end != bytes.size()) {
    return FileError(ErrorCode::kMalformed, Cause::kSyntax, file,
                     fmt::format("is damaged: it is not a {}", type));
  }
  return value;
}

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

}  // namespace

Result<Ak> MakeAk(const Tpm& tpm, AkType type) {
  const TpmContext& context = tpm.context();
  IMASNAP_ASSIGN(const TransientObject primary, MakePrimary(context));
  const TPM2B_PUBLIC area = AkTemplate(type);
  const TPM2B_SENSITIVE_CREATE no_password{};
  const TPM2B_DATA no_data{};
  const TPML_PCR_SELECTION no_pcrs{};
  TPM2B_PRIVATE* private_raw = nullptr;
  TPM2B_PUBLIC* public_raw = nullptr;
  const TSS2_RC rc = Esys_Create(context.esys(), primary.handle(), ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                 ESYS_TR_NONE, &no_password, &area, &no_data, &no_pcrs,
                                 &private_raw, &public_raw, nullptr, nullptr, nullptr);
  const EsysPtr<TPM2B_PRIVATE> private_area(private_raw);
  const EsysPtr<TPM2B_PUBLIC> public_area(public_raw);
  if (rc != TSS2_RC_SUCCESS) {
    return TpmError("TPM2_Create", rc);
  }
  Ak ak;
  IMASNAP_ASSIGN(ak.public_area, Marshalled(*public_area, Tss2_MU_TPM2B_PUBLIC_Marshal));
  IMASNAP_ASSIGN(ak.private_area, Marshalled(*private_area, Tss2_MU_TPM2B_PRIVATE_Marshal));
  return ak;
}

Result<TransientObject> LoadAk(const Tpm& tpm, const Ak& ak) {
  IMASNAP_ASSIGN(const auto public_area,
                 Unmarshalled<TPM2B_PUBLIC>(ak.public_area, Tss2_MU_TPM2B_PUBLIC_Unmarshal,
                                            ak.files.public_area, "TPM2B_PUBLIC"));
  IMASNAP_ASSIGN(const auto private_area,
                 Unmarshalled<TPM2B_PRIVATE>(ak.private_area, Tss2_MU_TPM2B_PRIVATE_Unmarshal,
                                             ak.files.private_area, "TPM2B_PRIVATE"));
  const TpmContext& context = tpm.context();
  IMASNAP_ASSIGN(const TransientObject primary, MakePrimary(context));
  ESYS_TR handle = ESYS_TR_NONE;
  const TSS2_RC rc = Esys_Load(context.esys(), primary.handle(), ESYS_TR_PASSWORD, ESYS_TR_NONE,
                               ESYS_TR_NONE, &private_area, &public_area, &handle);
  if (rc != TSS2_RC_SUCCESS) {
    Error error = TpmError("TPM2_Load", rc);
    if (IsTpmRc(rc, TPM2_RC_INTEGRITY)) {
      error.cause = Cause::kAkNotLoaded;
      error.message +=
          ": the AK was made by another TPM or before TPM2_Clear, or its files are damaged";
    }
    return error;
  }
  return TransientObject(context, handle);
}

Result<AkFiles> AkFilesOf(const std::string& store, const std::string& name) {
  if (name.empty() || name.size() > kMaxNameLength || name[0] == '.' ||
      !std::ranges::all_of(name, IsNameCharacter)) {
    return MakeError(
        ErrorCode::kUsage, Cause::kSyntax,
        fmt::format("\"{}\" is not a valid name for an AK: use at most {} letters, digits, "
                    "\"-\", \"_\" and \".\"",
                    name, kMaxNameLength));
  }
  AkFiles files;
  files.directory = store + "/ak";
  const std::string base = files.directory + "/" + name;
  files.public_area = base + ".pub";
  files.private_area = base + ".priv";
  files.pem = base + ".pem";
  return files;
}

Result<bool> HasAk(FileSystem& fs, const AkFiles& files) { return fs.Exists(files.public_area); }

Result<std::unique_ptr<File>> LockAks(FileSystem& fs, const AkFiles& files) {
  IMASNAP_RETURN_IF_ERROR(fs.MakeDirectories(files.directory));
  IMASNAP_ASSIGN(std::unique_ptr<File> lock,
                 fs.OpenFile(files.directory + "/.lock", OpenMode::kLockFile));
  IMASNAP_RETURN_IF_ERROR(lock->TryLock(LockMode::kExclusive));
  return lock;
}

Status WriteAk(FileSystem& fs, const AkFiles& files, const Ak& ak) {
  IMASNAP_ASSIGN(const AttestationKey key, AttestationKey::Parse(ak.public_area));
  IMASNAP_ASSIGN(const std::string pem, key.Pem());
  IMASNAP_RETURN_IF_ERROR(
      fs.WriteDurably(files.private_area, AsText(ak.private_area), OpenMode::kCreatePrivate));
  IMASNAP_RETURN_IF_ERROR(fs.WriteDurably(files.pem, pem));
  return fs.WriteDurably(files.public_area, AsText(ak.public_area));
}

Result<Ak> ReadAk(FileSystem& fs, const AkFiles& files) {
  const auto read = [&fs](const std::string& path) -> Result<Bytes> {
    auto text = fs.ReadFile(path, kMaxFileSize);
    if (!text.ok()) {
      if (text.error().errno_value == ENOENT) {
        return FileError(ErrorCode::kUsage, Cause::kAkUnknown, path,
                         "there is no such AK; \"ima-snapshot ak create\" makes one");
      }
      return std::move(text.error());
    }
    const ByteView view = AsBytes(*text);
    return Bytes(view.begin(), view.end());
  };
  Ak ak;
  IMASNAP_ASSIGN(ak.public_area, read(files.public_area));
  IMASNAP_ASSIGN(ak.private_area, read(files.private_area));
  ak.files = files;
  return ak;
}

}  // namespace imasnap
