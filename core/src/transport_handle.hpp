// A transport made by a plugin, owned.
#pragma once

#include <memory>

#include "ferry/registry.hpp"

namespace ferry {

struct TransportDeleter {
  void operator()(ferry_transport* transport) const noexcept { transport->ops->destroy(transport); }
};
using TransportHandle = std::unique_ptr<ferry_transport, TransportDeleter>;

/// Makes a transport and checks it. Throws Error.
TransportHandle create_transport(const Plugin& plugin, const OptionValues& options);

}  // namespace ferry
