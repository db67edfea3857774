// The conformance suite as a command: `ferry conform PLUGIN`, and the program that ctest runs.
//
// The runner never loads the plugin. Each test runs in a process of its own, started from this same program with
// --in-process, so a plugin that crashes, hangs or leaks costs one test and is named for it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "command_line.hpp"

namespace ferry::conformance {

struct Settings {
  std::string plugin;                              ///< a path, or the name of a plugin in the search path
  std::vector<std::filesystem::path> plugin_dirs;  ///< searched before the default ones
  std::string filter = "*";                        ///< a shell pattern of test names
  int repeat = 1;
  std::vector<std::string> options;  ///< NAME=VALUE, for every transport that a test makes
  bool list = false;
  bool json = false;
  std::filesystem::path junit;
  // Set when the runner starts this program again; the first also by people, to run one test under a debugger.
  std::string in_process;
  std::filesystem::path work_dir;
  bool as_peer = false;
};

/// Adds PLUGIN, --option, --filter, --repeat, --list, --junit and --in-process to a command; --json is the caller's
/// own.
void add_options(host::Command command, Settings& settings);

/// Runs what the settings ask for and prints the results. `verb` are the arguments of this program that lead here.
/// Returns the exit code: 0 all passed, 1 a test failed, 2 the filter names no test, 4 the plugin cannot be loaded.
int run(const Settings& settings, const std::vector<std::string>& verb);

}  // namespace ferry::conformance
