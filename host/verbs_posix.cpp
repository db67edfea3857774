#include "verbs.hpp"

namespace ferry::host {

AddVerb add_keygen;

std::span<AddVerb* const> system_verbs() {
  static constexpr AddVerb* verbs[] = {add_keygen};
  return verbs;
}

}  // namespace ferry::host
