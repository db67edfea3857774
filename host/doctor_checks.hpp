// What `ferry doctor` examines.
#pragma once

#include <string>
#include <vector>

#include "ferry/registry.hpp"

namespace ferry::host {

/// One thing examined. `advice` is empty when nothing need be done.
struct Finding {
  std::string subject;
  std::string found;
  std::string advice;
  bool fine() const noexcept { return advice.empty(); }
};

/// Limits of the process and of the kernel. Reads only.
std::vector<Finding> examine_system();
/// Each folder where plugins are looked for: whether it is there and safe, and every plugin in it, met in a child
/// process.
std::vector<Finding> examine_plugins(const RegistryPolicy& policy);

}  // namespace ferry::host
