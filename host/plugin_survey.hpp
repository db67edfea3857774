// The plugins of a search path as a registry would take them, each met in a child process first.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "ferry/probe.hpp"

namespace ferry::host {

/// Not thread safe.
class PluginSurvey {
 public:
  struct Finding {
    ProbeResult probe;  ///< not loaded also when a scheme is taken, which its reason says
    std::filesystem::path
        hidden_by;  ///< the file of the same name further up the path, which is used instead; or empty
  };

  /// Probes the next file, in the order of the path. Throws Error when no child can be started.
  Finding look(const std::filesystem::path& file);

 private:
  std::map<std::string, std::filesystem::path> names_;  // of those that load
  std::map<std::string, std::filesystem::path> schemes_;
};

}  // namespace ferry::host
