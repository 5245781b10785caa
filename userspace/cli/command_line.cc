// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <ostream>

#include "program/mistakes.h"

namespace imasnap::cli {
namespace {

using Command = std::function<Result<int>(const Context&)>;

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

constexpr const char* kExamples = R"(Examples:
  ima-snapshot take                      store the log's records and purge them from the kernel
  ima-snapshot take --mark               record a mark; everything stays in the kernel
  ima-snapshot verify --tpm              check the whole log since boot against the TPM
  ima-snapshot verify --tpm --state FILE the same, reading only what is new since the last time
  ima-snapshot ak create                 create an attestation key in the store
  ima-snapshot quote --nonce 1f --out q  let the TPM sign the log's PCRs for a verifier
  ima-snapshot cat --ascii | less        the whole log, as the kernel would print it
  ima-snapshot cat --hash sha256 >log    the same in binary, with SHA-256 template digests

Exit status: 0 ok, 1 failed, 2 usage, 3 mismatch, 4 could not check, 75 locked by another process.
See ima-snapshot(1) and ima-snapshot.conf(5).)";

// A decimal number, also with leading zeros: CLI11 would read the name of a segment as
// octal.
uint64_t Number(const std::string& name, const std::string& text, uint64_t least, uint64_t most) {
  const auto number = ParsePaddedDecimal(text);
  if (!number || *number < least || *number > most) {
    throw CLI::ValidationError(name,
                               fmt::format("\"{}\" is not a number from {}{}", text, least,
                                           most == kNoLimit ? "" : fmt::format(" to {}", most)));
  }
  return *number;
}

CLI::Option* AddNumber(CLI::App* app, const std::string& name, const std::string& description,
                       uint64_t least, uint64_t most, const std::function<void(uint64_t)>& set) {
  const auto parse = [name, least, most, set](const std::string& text) {
    set(Number(name, text, least, most));
  };
  return app->add_option_function<std::string>(name, parse, description)->type_name("N");
}

// The distance of two words: the number of inserted, deleted, changed and swapped
// letters (optimal string alignment).
size_t Distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      const size_t changed = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + changed});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

// The error for an unexpected `word`: an unknown command, with the most similar known
// one if there is one, or something else.
CLI::Error Unexpected(const CLI::App& app, const std::string& word) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
  }
  if (at->get_require_subcommand_min() == 0 || word.starts_with('-')) {
    return CLI::ExtrasError({word});
  }
  constexpr size_t kNear = 2;
  std::string nearest;
  size_t least = kNear + 1;
  for (const CLI::App* command : at->get_subcommands({})) {
    const size_t distance = Distance(word, command->get_name());
    // A short word that shares no letter is not a hint.
    if (distance < least && distance < word.size()) {
      least = distance;
      nearest = command->get_name();
    }
  }
  return {"UnknownCommand",
          fmt::format("there is no command \"{}\"{}", word,
                      nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest)),
          CLI::ExitCodes::ExtrasError};
}

// Help without "Needs:" and "Excludes:" after each option: a command line that breaks
// one of these gets a message.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) {  // a flag
      return "";
    }
    return " " + option->get_type_name() + (option->get_required() ? " (required)" : "");
  }
};

void DeclareGlobal(CLI::App* app, GlobalOptions* options) {
  GlobalOptions& global = *options;
  app->formatter(std::make_shared<HelpFormatter>());  // which the commands inherit
  app->failure_message(program::Mistake);
  app->set_version_flag("--version", "ima-snapshot " IMASNAP_VERSION);
  app->footer(kExamples);
  app->require_subcommand(1);
  app->fallthrough();
  app->add_option("--config", global.config_file, "Configuration file")->type_name("FILE");
  app->add_option("--store", global.store, "Directory of the segments")->type_name("DIR");
  app->add_option("--securityfs", global.securityfs, "Where securityfs is mounted")
      ->type_name("DIR");
  app->add_option("--tcti", global.tcti, "How to reach the TPM, as in tpm2-tools")
      ->type_name("CONF");
  app->add_flag("--json", global.json, "Print JSON");
  app->add_flag("-v,--verbose", global.verbose, "Print more on standard error");
}

// The commands, and which of them the arguments name.
class Commands {
 public:
  explicit Commands(CLI::App* app) : app_(app) {}

  CLI::App* Add(const std::string& name, const std::string& description, Command command) {
    CLI::App* added = app_->add_subcommand(name, description);
    commands_.emplace(added, std::move(command));
    return added;
  }
  // The same for one that has arguments: `args` are filled when they are parsed.
  template <typename Arguments>
  CLI::App* Add(const std::string& name, const std::string& description,
                Result<int> (*command)(const Context&, const Arguments&),
                const std::shared_ptr<Arguments>& args) {
    return Add(name, description,
               [command, args](const Context& context) { return command(context, *args); });
  }
  const Command& Chosen() const { return commands_.at(app_->get_subcommands().front()); }

 private:
  CLI::App* app_;
  std::map<const CLI::App*, Command> commands_;
};

void AddTake(Commands* commands) {
  auto args = std::make_shared<TakeArguments>();
  CLI::App* take = commands->Add("take", "Take a snapshot now", TakeCommand, args);
  auto* mark =
      take->add_flag("--mark", args->mark, "Record the aggregate only; store and purge nothing");
  take->add_flag("--final", args->final, "The last snapshot before the machine goes down")
      ->excludes(mark);
  take->footer(R"(Examples:
  ima-snapshot take           store the kernel's records as a segment, and purge them there
  ima-snapshot take --mark    record the PCRs in the log, and keep everything in the kernel)");
}

void AddStatus(Commands* commands) {
  commands->Add("status", "Show what the kernel supports and what the store has", StatusCommand)
      ->footer(R"(Examples:
  ima-snapshot status                                 for people
  ima-snapshot status --json | jq .kernel.records     for scripts)");
}

void AddList(Commands* commands) {
  commands->Add("list", "List the segments of the newest session", ListCommand)->footer(R"(Examples:
  ima-snapshot list                                   one segment a line
  ima-snapshot list --json | jq '.segments[].sha256'  their hashes)");
}

void AddShow(Commands* commands, const std::shared_ptr<ShowArguments>& args) {
  CLI::App* show =
      commands->Add("show", "Show the records of one segment, decoded", ShowCommand, args);
  auto* segment =
      show->add_option("SEGMENT", args->segment, "Number of the segment, \"live\", or \"staged\"");
  AddNumber(show, "--top", "Show the N most frequent names of each segment and list instead", 1,
            kNoLimit, [args](uint64_t n) { args->top = n; })
      ->excludes(segment);
  show->footer(R"(Examples:
  ima-snapshot show 1                     the records of the first segment
  ima-snapshot show live | tail -n 1      the last record in the kernel
  ima-snapshot show --top 10              which files fill the log)");
}

void AddCat(Commands* commands) {
  auto args = std::make_shared<CatArguments>();
  CLI::App* cat = commands->Add(
      "cat", "Print the whole log since cold boot, in the kernel's format", CatCommand, args);
  cat->add_flag("--ascii", args->ascii, "In the format of ascii_runtime_measurements");
  cat->add_flag("--cel", args->cel, "As a TCG Canonical Event Log in JSON")->excludes("--ascii");
  cat->add_option("--hash", args->hash, "Algorithm of the template digests")->type_name("ALG");
  auto* from = AddNumber(cat, "--from", "Begin with record N, counted from 1", 1, kNoLimit,
                         [args](uint64_t n) { args->from = n; });
  AddNumber(cat, "--count", "Print at most N records", 1, kNoLimit,
            [args](uint64_t n) { args->count = n; });
  cat->add_option("--after-digest", args->after_digest,
                  "Begin after the first record with this template digest")
      ->type_name("HEX")
      ->excludes(from);
  cat->footer(R"(Examples:
  ima-snapshot cat >log                   in the format of binary_runtime_measurements
  ima-snapshot cat --ascii | less         in the format of ascii_runtime_measurements
  ima-snapshot cat --ascii --from 1000    from record 1000 on
  ima-snapshot cat --from 1000 --count 9  records 1000 to 1008
  ima-snapshot cat --cel --hash sha256    for readers of Canonical Event Logs)");
}

// `tpm`: the option that --quote excludes.
void AddQuoteFiles(CLI::App* verify, CLI::Option* tpm, QuoteFiles* options) {
  auto* quote = verify->add_option("--quote", options->message, "Compare with this TPM2_Quote")
                    ->type_name("MSG")
                    ->excludes(tpm);
  auto* signature = verify->add_option("--sig", options->signature, "The quote's signature")
                        ->type_name("SIG")
                        ->needs(quote);
  auto* ak = verify->add_option("--ak", options->ak, "The AK's public part (TPM2B_PUBLIC or PEM)")
                 ->type_name("PUB");
  auto* nonce =
      verify->add_option("--nonce", options->nonce, "The challenge that the quote must answer")
          ->type_name("HEX");
  auto* ignore = verify->add_flag("--ignore-reset-count", options->ignore_reset_count,
                                  "Do not compare the quote's resetCount with the log's");
  quote->needs(signature, ak, nonce);
  auto* evidence = verify->get_option("--evidence");
  evidence->needs(ak, nonce)->excludes(tpm, quote);
  verify->callback([=] {
    for (const CLI::Option* option : {ak, nonce, ignore}) {
      if (option->count() > 0 && quote->count() + evidence->count() == 0) {
        throw CLI::RequiresError(option->get_name(), "--quote or --evidence");
      }
    }
  });
}

void AddVerify(Commands* commands, const std::shared_ptr<VerifyArguments>& args) {
  CLI::App* verify =
      commands->Add("verify", "Check the whole log since cold boot", VerifyCommand, args);
  auto* tpm = verify->add_flag("--tpm", args->tpm, "Compare with the TPM's PCRs");
  verify
      ->add_option("--pcrs", args->pcr_files,
                   "Compare with PCRs from a file (tpm2_pcrread's or the kernel's form)")
      ->type_name("FILE")
      ->take_all()
      ->allow_extra_args(false)
      ->excludes(tpm);
  auto* state = verify->add_option("--state", args->state,
                                   "Continue where the last verification with this file ended");
  state->type_name("FILE");
  verify->add_option("--state-key", args->state_key, "Key that authenticates the state")
      ->type_name("FILE")
      ->needs(state);
  auto* evidence = verify->add_option("--evidence", args->evidence,
                                      "Check this file of another machine; - is standard input");
  evidence->type_name("FILE")->excludes("--pcrs");
  auto* from_dir =
      verify->add_option("--from-dir", args->from_dir, "Check a copied store or session instead");
  evidence->excludes(from_dir);
  from_dir->type_name("DIR")->excludes(tpm);
  for (const char* of_this_machine : {"--config", "--store"}) {
    from_dir->excludes(verify->get_parent()->get_option(of_this_machine));
    evidence->excludes(verify->get_parent()->get_option(of_this_machine));
  }
  verify->add_option("--live", args->live, "Copy of the kernel's list that belongs to it")
      ->type_name("FILE")
      ->needs(from_dir);
  AddNumber(verify, "--session", "Number of the session in it (default: the newest)", 1, kNoLimit,
            [args](uint64_t n) { args->session = n; })
      ->needs(from_dir);
  // CONFIG_IMA_MEASURE_PCR_IDX, and any of a policy's pcr=.
  verify
      ->add_option_function<std::vector<std::string>>(
          "--ima-pcr",
          [args](const std::vector<std::string>& texts) {
            args->ima_pcr.clear();
            for (const std::string& text : texts) {
              args->ima_pcr.push_back(static_cast<uint32_t>(Number("--ima-pcr", text, 0, 23)));
            }
          },
          "PCR that IMA measures to (default: 10; with --tpm, those of the log); may be repeated")
      ->type_name("N")
      ->take_all()
      ->allow_extra_args(false);
  AddQuoteFiles(verify, tpm, &args->quote);
  verify->footer(R"(Examples:
  ima-snapshot verify --tpm                           against this machine's PCRs
  ima-snapshot verify --tpm --state /root/ima.state   only what is new since the last time
  ima-snapshot verify --from-dir COPY --live LIST --pcrs PCRS
  ima-snapshot verify --quote quote.msg --sig quote.sig --ak AK.pem --nonce HEX
  ssh HOST ima-snapshot evidence --nonce HEX |
    ima-snapshot verify --evidence - --ak HOST.pem --nonce HEX --state HOST.state)");
}

void AddMount(Commands* commands) {
  auto args = std::make_shared<MountArguments>();
  CLI::App* mount =
      commands->Add("mount", "Show the whole log as files with the kernel's names, until unmounted",
                    MountCommand, args);
  mount->add_option("DIR", args->directory, "Where to mount the view")->required();
  mount->footer(R"(Examples:
  ima-snapshot mount /run/ima-snapshot/view    until SIGTERM or Ctrl-C
  evmctl ima_measurement /run/ima-snapshot/view/binary_runtime_measurements)");
}

void AddGc(Commands* commands) {
  auto args = std::make_shared<GcArguments>();
  CLI::App* gc = commands->Add(
      "gc", "Remove old sessions and, with --state, segments that were verified", GcCommand, args);
  auto* state = gc->add_option("--state", args->state,
                               "Discard the segments that this state file shows as verified");
  state->type_name("FILE");
  gc->add_option("--state-key", args->state_key, "Key that authenticates the state")
      ->type_name("FILE")
      ->needs(state);
  gc->footer(R"(Examples:
  ima-snapshot gc                           remove sessions beyond keep_boots
  ima-snapshot gc --state /root/ima.state   remove verified segments too, if discard permits)");
}

void AddAk(Commands* commands) {
  auto args = std::make_shared<AkArguments>();
  CLI::App* ak =
      commands->Add("ak", "Manage the attestation keys of this store", AkCreateCommand, args);
  ak->require_subcommand(1);
  CLI::App* create = ak->add_subcommand("create", "Make an attestation key in the TPM");
  create->add_option("--alg", args->type, "Algorithm: rsa (2048 bits) or ecc (P-256)")
      ->type_name("ALG")
      ->check(CLI::IsMember({"rsa", "ecc"}));
  create->add_option("--name", args->name, "Name of its files")->type_name("NAME");
  const char* examples = R"(Examples:
  ima-snapshot ak create
  ima-snapshot ak create --alg ecc --name ecc    a second one, for quote --ak ecc)";
  ak->footer(examples);
  create->footer(examples);
}

void AddQuote(Commands* commands) {
  auto args = std::make_shared<QuoteArguments>();
  CLI::App* quote =
      commands->Add("quote", "Let the TPM sign the PCRs of the log", QuoteCommand, args);
  quote->add_option("--nonce", args->nonce, "The verifier's challenge, in hexadecimal")
      ->type_name("HEX")
      ->required();
  quote->add_option("--ak", args->ak, "Name of the attestation key in the store")
      ->type_name("NAME");
  quote->add_option("--pcrs", args->pcrs, "PCRs, such as sha256:10+sha1:10 (default: those of IMA)")
      ->type_name("SELECTION");
  auto* out = quote->add_option("--out", args->directory, "Write quote.msg, .sig, .pcrs, .pcrs.txt")
                  ->type_name("DIR");
  quote->add_option("--msg", args->message, "Write the message here")
      ->type_name("FILE")
      ->excludes(out);
  quote->add_option("--sig", args->signature, "Write the signature here")
      ->type_name("FILE")
      ->excludes(out);
  quote
      ->add_option("--pcrs-out", args->pcrs_out,
                   "Write the PCR values here for tpm2_checkquote, and as text to FILE.txt")
      ->type_name("FILE")
      ->excludes(out);
  quote->add_flag("--then-take", args->then_take,
                  "Take a snapshot at once, so that the segments have all that was quoted");
  quote->footer(R"(Examples:
  ima-snapshot quote --nonce 0123456789abcdef --out DIR
  ima-snapshot quote --nonce 0123456789abcdef --out DIR --then-take
  ima-snapshot quote --nonce 0123456789abcdef --json)");
}

void AddEvidence(Commands* commands) {
  auto args = std::make_shared<EvidenceArguments>();
  CLI::App* evidence =
      commands->Add("evidence", "Write the log and a quote of it for a verifier on another machine",
                    EvidenceCommand, args);
  evidence->add_option("--nonce", args->nonce, "The verifier's challenge, in hexadecimal")
      ->type_name("HEX")
      ->required();
  evidence->add_option("--ak", args->ak, "Name of the attestation key in the store")
      ->type_name("NAME");
  evidence
      ->add_option("--pcrs", args->pcrs, "PCRs, such as sha256:10+sha1:10 (default: those of IMA)")
      ->type_name("SELECTION");
  AddNumber(evidence, "--after-attempt",
            "Only what follows the segment that attempt N closed (default: all)", 0, kNoLimit,
            [args](uint64_t n) { args->after_attempt = n; });
  evidence->add_option("--out", args->out, "Write to this new file, not to standard output")
      ->type_name("FILE");
  evidence->footer(R"(Examples:
  ima-snapshot evidence --nonce 0123456789abcdef --out evidence.tar
  ima-snapshot evidence --nonce 0123456789abcdef --after-attempt 7 | ssh VERIFIER ...)");
}

// Only the help of the program lists the options of all commands.
void PointToProgram(CLI::App* app) {
  for (CLI::App* command : app->get_subcommands({})) {
    command->footer(command->get_footer() +
                    "\n\nFor the options of all commands see ima-snapshot --help.");
    PointToProgram(command);
  }
}

}  // namespace

std::variant<CommandLine, ExitCode> ParseCommandLine(const std::vector<std::string>& args,
                                                     const Host& host) {
  CLI::App app("Move the IMA measurement log out of kernel memory without losing its proof.",
               "ima-snapshot");
  CommandLine line;
  DeclareGlobal(&app, &line.global);
  Commands commands(&app);
  const auto show = std::make_shared<ShowArguments>();
  const auto verify = std::make_shared<VerifyArguments>();
  AddTake(&commands);
  AddStatus(&commands);
  AddList(&commands);
  AddShow(&commands, show);
  AddCat(&commands);
  AddVerify(&commands, verify);
  AddMount(&commands);
  AddGc(&commands);
  AddAk(&commands);
  AddQuote(&commands);
  AddEvidence(&commands);
  PointToProgram(&app);
  try {  // CLI11 reports errors by exception
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    app.parse(reversed);
    program::RefuseEmpty(app);
  } catch (const CLI::RequiredError& problem) {
    // CLI11 would report a missing command before an unknown one.
    const std::vector<std::string> unknown = app.remaining(true);
    if (unknown.empty()) {
      app.exit(problem, host.out, host.err);
    } else {
      app.exit(Unexpected(app, unknown.front()), host.out, host.err);
    }
    return kExitUsage;
  } catch (const CLI::ParseError& problem) {
    const int code = app.exit(problem, host.out, host.err);
    return code == 0 ? kExitOk : kExitUsage;
  }
  line.global.config_given = app.count("--config") > 0;
  line.command = commands.Chosen();
  line.copies = !verify->from_dir.empty() || !verify->evidence.empty();
  const std::string name = app.get_subcommands().front()->get_name();
  line.kernel = !line.copies && name != "list" && name != "gc" && name != "ak" &&
                !(name == "show" && show->OfSegment());
  return line;
}

}  // namespace imasnap::cli
