#include "limits.hpp"

namespace ferry::host {

// The number of handles of a process is bounded by memory alone.
void raise_descriptor_limit() noexcept {}

}  // namespace ferry::host
