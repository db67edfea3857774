#include "plugin_survey.hpp"

#include "json.hpp"

namespace ferry::host {

PluginSurvey::Finding PluginSurvey::look(const std::filesystem::path& file) {
  Finding finding{probe_plugin(file), {}};
  if (!finding.probe.loaded) return finding;
  const Json plugin = Json::parse(finding.probe.description);
  const auto name = plugin["name"].get<std::string>();
  if (const auto first = names_.find(name); first != names_.end()) {
    finding.hidden_by = first->second;
    return finding;
  }
  for (const Json& scheme : plugin["schemes"]) {
    const auto owner = schemes_.find(scheme.get<std::string>());
    if (owner == schemes_.end()) continue;
    finding.probe.loaded = false;
    finding.probe.reason = "the scheme '" + owner->first + "' is taken by " + owner->second.string();
    return finding;
  }
  names_[name] = file;
  for (const Json& scheme : plugin["schemes"]) schemes_[scheme.get<std::string>()] = file;
  return finding;
}

}  // namespace ferry::host
