// What of the plugin folders keeps transports from loading.
#include <filesystem>
#include <system_error>
#include <utility>

#include "doctor_checks.hpp"
#include "ferry/error.hpp"
#include "plugin_survey.hpp"

namespace ferry::host {
namespace {

namespace fs = std::filesystem;

/// Adds a finding per refused plugin and returns how many loaded.
std::size_t examine_files(const std::vector<fs::path>& files, PluginSurvey& survey, std::vector<Finding>& refused) {
  std::size_t loaded = 0;
  for (const fs::path& file : files) {
    const ProbeResult result = survey.look(file).probe;
    if (result.loaded) {
      ++loaded;
    } else {
      refused.push_back({"plugin " + file.string(), "refused", result.reason});
    }
  }
  return loaded;
}

Finding examine_folder(const fs::path& folder, PluginSurvey& survey, std::vector<Finding>& refused,
                       std::size_t& loaded) {
  Finding finding{"plugin folder " + folder.string(), "", ""};
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) {
    finding.found = "not there";  // as it may be: the search path names more places than anybody uses
    return finding;
  }
  try {
    check_plugin_folder(folder);
  } catch (const Error& error) {
    finding.found = "not safe: nothing in it loads";
    finding.advice = error.detail();
    return finding;
  }
  const auto files = plugin_candidates(folder);
  const std::size_t here = examine_files(files, survey, refused);
  finding.found = std::to_string(here) + " of " + std::to_string(files.size()) + " plugins load";
  loaded += here;
  return finding;
}

}  // namespace

std::vector<Finding> examine_plugins(const RegistryPolicy& policy) {
  std::vector<Finding> findings;
  std::size_t loaded = 0;
  const Registry registry(policy);
  PluginSurvey survey;
  for (const fs::path& folder : registry.search_path()) {
    std::vector<Finding> refused;
    findings.push_back(examine_folder(folder, survey, refused, loaded));
    for (Finding& finding : refused) findings.push_back(std::move(finding));
  }
  if (loaded == 0) {
    findings.push_back(
        {"plugins", "none loads",
         "without one there is no transport: install Ferry whole, or name their folder with --plugin-dir "
         "or FERRY_PLUGIN_PATH"});
  }
  return findings;
}

}  // namespace ferry::host
