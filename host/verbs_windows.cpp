#include "verbs.hpp"

namespace ferry::host {

// Without keygen: it is for quic, which Windows has not.
std::span<AddVerb* const> system_verbs() { return {}; }

}  // namespace ferry::host
