// Which verbs there are.
#pragma once

#include <span>

#include "context.hpp"

namespace ferry::host {

using AddVerb = void(Command&, Context&);

/// Those that not every system has.
std::span<AddVerb* const> system_verbs();

}  // namespace ferry::host
