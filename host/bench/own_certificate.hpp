// Certificates for transports that cannot do without.
#pragma once

#include <filesystem>
#include <vector>

#include "ferry/endpoint.hpp"
#include "ferry/registry.hpp"

namespace ferry::bench {

/// Options for both sides of a transport with TLS: a key of this run's own, in its private directory.
std::vector<EndpointOption> own_certificate(const Plugin& plugin, const std::filesystem::path& directory);

}  // namespace ferry::bench
