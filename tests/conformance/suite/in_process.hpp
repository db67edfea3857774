// One test, or the second process of one, in this very process.
#pragma once

#include <string>
#include <vector>

#include "conform.hpp"

namespace ferry::conformance {

/// The name that loads the plugin and notes its facts in the report; skipped where listening needs another option.
inline constexpr const char* load_only = "load";

/// The layout of a test's private directory.
struct WorkDir {
  std::filesystem::path root;
  std::filesystem::path report() const { return root / "report"; }
  std::filesystem::path output() const { return root / "output"; }
  std::filesystem::path files() const { return root / "files"; }  ///< "{dir}" of ephemeral addresses
};

/// The file that `plugin` means: itself, or what the search path has under that name.
std::filesystem::path find_plugin(const Settings& settings);

/// Returns the exit code: 0 passed or skipped, 1 failed.
int run_in_process(const Settings& settings, const std::vector<std::string>& self);

}  // namespace ferry::conformance
