// SPDX-License-Identifier: GPL-2.0-or-later
//
// The program on a kernel in memory whose records a software TPM was extended
// with, and tpm2-tools beside it.
#ifndef IMASNAP_TESTS_QUOTE_FIXTURE_H_
#define IMASNAP_TESTS_QUOTE_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "cli/app.h"
#include "cli_fixture.h"
#include "swtpm.h"
#include "tpm/reset_count.h"
#include "tpm/tpm.h"
#include "tpm/tpm_context.h"
#include "world.h"

namespace imasnap::cli {

inline const std::string kNonce = "00112233445566778899aabbccddeeff";

class QuoteTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"swtpm", "tpm2_checkquote"}) {
      if (!testing::FindProgram(program)) {
        GTEST_SKIP() << program << " is not installed; scripts/deps installs it";
      }
    }
    ASSERT_TRUE(tpm_.Start()) << tpm_.ReadFile("swtpm.log");
    world_.kernel = testing::FakeKernel({"sha1", "sha256", "sha384", "sha512"});
    world_.reset_count = ReadResetCount(tpm_.tcti());
    Measure(0);
  }

  // Measures so many files more, and has the TPM extended with what it has not
  // seen of the log.
  void Measure(int files) {
    world_.kernel.MeasureFiles(files);
    Extend();
  }

  void Extend() {
    auto tpm = Tpm::Open(tpm_.tcti());
    ASSERT_TRUE(tpm.ok()) << tpm.error().ToString();
    const Bytes all = world_.kernel.Everything();
    SpanSource source(all);
    LogReader reader(source, {}, "log");
    while (const Record* record = reader.Next().value()) {
      if (record->number <= extended_) {
        continue;
      }
      TPML_DIGEST_VALUES digests{};
      for (const HashAlg alg :
           {HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512}) {
        const Digest digest = record->IsViolation()
                                  ? Digest::Filled(DigestSize(alg), std::byte{0xff})
                                  : testing::HashOf(alg, record->template_data);
        TPMT_HA& out = digests.digests[digests.count++];
        out.hashAlg = TpmAlgId(alg);
        std::memcpy(&out.digest, digest.bytes.data(), digest.size);
      }
      ASSERT_EQ(Esys_PCR_Extend((*tpm)->context().esys(), record->pcr, ESYS_TR_PASSWORD,
                                ESYS_TR_NONE, ESYS_TR_NONE, &digests),
                TSS2_RC_SUCCESS);
      extended_ = record->number;
    }
  }

  // A cold boot of machine and TPM.
  void Reboot() {
    tpm_.Stop();
    ASSERT_TRUE(tpm_.Start());
    world_.kernel.Boot();
    world_.reset_count = ReadResetCount(tpm_.tcti());
    extended_ = 0;
    Measure(0);
  }

  Ran Run(const std::vector<std::string>& args) {
    std::ostringstream out;
    std::ostringstream err;
    const Host host{.fs = world_.fs,
                    .out = out,
                    .err = err,
                    .owner = 0,
                    .now = [] { return std::string("2026-01-02T03:04:05Z"); },
                    .kernel_release = "7.3.0-test",
                    .open_tpm = [](const std::string& tcti) -> Result<std::unique_ptr<PcrReader>> {
                      IMASNAP_ASSIGN(std::unique_ptr<Tpm> tpm, Tpm::Open(tcti));
                      return std::unique_ptr<PcrReader>(std::move(tpm));
                    },
                    .reset_count = [this](const std::string&) { return world_.reset_count; }};
    std::vector<std::string> all = {"--tcti", tpm_.tcti()};
    all.insert(all.end(), args.begin(), args.end());
    const int code = RunApp(all, host);
    return {code, out.str(), err.str()};
  }
  Ran RunJson(const std::vector<std::string>& args) { return Run(AndJson(args)); }

  Ran CreateAk(const std::string& type, const std::string& name) {
    return RunJson({"ak", "create", "--alg", type, "--name", name});
  }
  Ran MakeQuote(const std::string& ak, const std::string& directory) {
    return RunJson({"quote", "--nonce", kNonce, "--ak", ak, "--out", directory});
  }
  // verify --quote of what MakeQuote() wrote.
  Ran Verify(const std::string& ak, const std::string& directory,
             const std::vector<std::string>& more = {}, const std::string& nonce = kNonce) {
    std::vector<std::string> args = {"verify",
                                     "--quote",
                                     directory + "/quote.msg",
                                     "--sig",
                                     directory + "/quote.sig",
                                     "--ak",
                                     testing::kStore + "/ak/" + ak,
                                     "--nonce",
                                     nonce};
    args.insert(args.end(), more.begin(), more.end());
    return RunJson(args);
  }

  // Copies between the machine in memory and tpm2-tools' directory.
  void Export(const std::string& path, const std::string& name) {
    const auto text = world_.fs.Read(path);
    ASSERT_TRUE(text) << path;
    tpm_.WriteFile(name, AsBytes(*text));
  }
  void Import(const std::string& name, const std::string& path) {
    world_.fs.Write(path, tpm_.ReadFile(name));
  }
  void MustRun(const std::vector<std::string>& command) {
    const testing::ToolResult result = tpm_.Tool(command);
    ASSERT_EQ(result.status, 0) << ::testing::PrintToString(command) << "\n" << result.output;
    // Without a resource manager the tools leave what they loaded.
    ASSERT_EQ(tpm_.Tool({"tpm2_flushcontext", "-t"}).status, 0);
  }
  std::string Transient() { return tpm_.Tool({"tpm2_getcap", "handles-transient"}).output; }

  testing::Swtpm tpm_;
  testing::World world_;
  uint64_t extended_ = 0;
};

}  // namespace imasnap::cli

#endif  // IMASNAP_TESTS_QUOTE_FIXTURE_H_
