// SPDX-License-Identifier: GPL-2.0-or-later
#include "log_builder.h"

#include <openssl/evp.h>

#include <cstdlib>

namespace imasnap::testing {

Digest HashOf(HashAlg alg, ByteView data) {
  std::string name(HashName(alg));
  Digest digest = Digest::Filled(DigestSize(alg), std::byte{0});
  size_t size = 0;
  const int ok = EVP_Q_digest(nullptr, name.c_str(), nullptr, data.data(), data.size(),
                              reinterpret_cast<unsigned char*>(digest.bytes.data()), &size);
  if (ok != 1 || size != digest.size) {
    std::abort();  // every hash of a bank is OpenSSL's too
  }
  return digest;
}

Digest HashOf(HashAlg alg, std::string_view text) { return HashOf(alg, AsBytes(text)); }

Bytes DigestNg(std::string_view alg, ByteView digest) {
  Bytes out;
  AppendBytes(AsBytes(alg), &out);
  AppendBytes(AsBytes(std::string_view(":\0", 2)), &out);
  AppendBytes(digest, &out);
  return out;
}

Bytes DigestNgV2(std::string_view type, std::string_view alg, ByteView digest) {
  return DigestNg(std::string(type) + ":" + std::string(alg), digest);
}

Bytes NameField(std::string_view name) {
  Bytes out = RawField(name);
  out.push_back(std::byte{0});
  return out;
}

Bytes RawField(std::string_view text) {
  Bytes out;
  AppendBytes(AsBytes(text), &out);
  return out;
}

Bytes BuiltRecord::Data(ByteOrder order) const {
  Bytes out;
  for (const Bytes& field : fields) {
    AppendU32(static_cast<uint32_t>(field.size()), order, &out);
    AppendBytes(field, &out);
  }
  return out;
}

Digest BuiltRecord::TemplateDigest(HashAlg alg, ByteOrder order) const {
  if (template_name != "ima") {
    return HashOf(alg, Data(order));
  }
  Bytes data = fields[0];
  AppendBytes(fields[1], &data);
  data.resize(20 + 256);
  return HashOf(alg, data);
}

Bytes BuiltRecord::Binary(HashAlg header, ByteOrder order) const {
  Bytes out;
  AppendU32(pcr, order, &out);
  const Digest digest =
      violation ? Digest::Filled(DigestSize(header), std::byte{0}) : TemplateDigest(header, order);
  AppendBytes(digest.view(), &out);
  AppendU32(static_cast<uint32_t>(template_name.size()), order, &out);
  AppendBytes(AsBytes(template_name), &out);
  if (template_name == "ima") {
    AppendBytes(fields[0], &out);
    AppendU32(static_cast<uint32_t>(fields[1].size()), order, &out);
    AppendBytes(fields[1], &out);
    return out;
  }
  const Bytes data = Data(order);
  AppendU32(static_cast<uint32_t>(data.size()), order, &out);
  AppendBytes(data, &out);
  return out;
}

BuiltRecord NgRecord(std::string_view name, uint32_t pcr) {
  const Digest digest = HashOf(HashAlg::kSha256, name);
  return {.pcr = pcr,
          .template_name = "ima-ng",
          .fields = {DigestNg("sha256", digest.view()), NameField(name)}};
}

BuiltRecord Violation(std::string_view name) {
  const Digest zeros = Digest::Filled(32, std::byte{0});
  return {.template_name = "ima-ng",
          .fields = {DigestNg("sha256", zeros.view()), NameField(name)},
          .violation = true};
}

BuiltRecord BufRecord(std::string_view name, std::string_view buffer) {
  const Digest digest = HashOf(HashAlg::kSha256, buffer);
  return {.template_name = "ima-buf",
          .fields = {DigestNg("sha256", digest.view()), NameField(name), RawField(buffer)}};
}

BuiltRecord ImaRecord(std::string_view name) {
  const Digest digest = HashOf(HashAlg::kSha1, name);
  Bytes bytes;
  AppendBytes(digest.view(), &bytes);
  return {.template_name = "ima", .fields = {bytes, RawField(name)}};
}

std::vector<BuiltRecord> EveryTemplate() {
  const Bytes ng = DigestNg("sha256", HashOf(HashAlg::kSha256, "x").view());
  const Bytes sha1 = DigestNg("sha1", HashOf(HashAlg::kSha1, "x").view());
  const Bytes verity = DigestNgV2("verity", "sha512", HashOf(HashAlg::kSha512, "x").view());
  const Bytes name = NameField("/usr/bin/x_y");
  const Bytes sig = RawField(std::string_view("\x03\x02\x04\x00\xff sig", 9));
  Bytes old_digest;
  AppendBytes(HashOf(HashAlg::kSha1, "x").view(), &old_digest);
  Bytes uid;
  AppendU32(1000, ByteOrder::kLittle, &uid);
  Bytes gid;
  AppendU32(4294967294U, ByteOrder::kLittle, &gid);
  const Bytes mode = RawField("\xed\x81");  // 0100755
  return {
      {10, "ima", {old_digest, RawField("/bin/x")}, false},
      {10, "ima-ng", {ng, name}, false},
      {10, "ima-ngv2", {verity, name}, false},
      {10, "ima-sig", {ng, name, sig}, false},
      {10, "ima-sig", {ng, name, {}}, false},
      {10, "ima-sigv2", {verity, name, sig}, false},
      {11, "ima-buf", {ng, NameField("kernel_version"), RawField("7.3.4")}, false},
      {10, "ima-modsig", {ng, name, sig, sha1, RawField("0\x82zz")}, false},
      {10, "ima-modsig", {ng, name, {}, {}, {}}, false},
      {10,
       "evm-sig",
       {ng, name, sig, NameField("security.ima|security.selinux"), RawField("\x01\x02\x03\x04"),
        RawField("values"), uid, gid, mode},
       false},
      {10, "evm-sig", {ng, name, {}, {}, {}, {}, {}, {}, {}}, false},
      {5, "d|n", {old_digest, NameField("/old")}, false},
      {10, "n-ng|d-ng|imode", {name, ng, mode}, false},
  };
}

Bytes Concatenate(const std::vector<BuiltRecord>& records, HashAlg header, ByteOrder order) {
  Bytes out;
  for (const BuiltRecord& record : records) {
    AppendBytes(record.Binary(header, order), &out);
  }
  return out;
}

}  // namespace imasnap::testing
