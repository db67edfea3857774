// What every verb of `ferry` shares: the common options and how a verb is registered.
//
// A verb lives in host/<verb>.cpp (or a folder). Its add_<verb>(Command&, Context&), listed in verbs.cpp, makes the
// subcommand with add_verb() and hands over what to run; main parses everything first and then runs that one action, so
// that no verb starts work on a command line that is wrong further right.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "exit_code.hpp"
#include "ferry/config.hpp"
#include "ferry/registry.hpp"
#include "ferry/runtime.hpp"

namespace ferry::host {

struct Context {
  bool json = false;
  std::string log_level;   ///< empty: the config's, else "info"
  std::string log_format;  ///< empty: the config's, else "text"
  std::vector<std::filesystem::path> plugin_dirs;

  /// The policy of a registry without a config: --plugin-dir first.
  RegistryPolicy registry_policy() const;
  /// Reads a config, checks it against the plugins and puts --plugin-dir before its own folders. Its log settings take
  /// effect where the command line gave none. Throws ConfigError, with every problem, or Error.
  Config load_checked_config(const std::filesystem::path& file) const;
  /// A runtime from such a file, or with no config when it is empty. Of the plugins only those are asked that it uses.
  Runtime make_runtime(const std::filesystem::path& file) const;

  void configure_logging_for(const Config& config) const;

  /// The chosen verb; main runs it after the whole command line was accepted. May throw.
  std::function<ExitCode()> action;
};

/// Makes the subcommand `name` with the common options and sets what runs when it is chosen. The caller adds the
/// verb's own options to what is returned; `action` reads them when it is called.
Command add_verb(Command& ferry, Context& context, const std::string& name, const std::string& description,
                 std::function<ExitCode()> action);

/// Adds --json, --log-level, --log-format and --plugin-dir, so that they may stand before and after the verb.
void add_common_options(Command command, Context& context);

/// Registers every verb.
void add_verbs(Command& ferry, Context& context);

}  // namespace ferry::host
