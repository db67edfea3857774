// The order in which to try several addresses.
#pragma once

#include <algorithm>
#include <vector>

namespace ferry::tcp {

/// RFC 8305, section 4: the resolver's order, made to alternate between the families, beginning with its first choice.
/// `Socket` is a SocketAddress.
template <class Socket>
std::vector<Socket> interleave(std::vector<Socket> addresses) {
  if (addresses.empty()) return addresses;
  const int first_family = addresses.front().family();
  const auto other = std::stable_partition(addresses.begin(), addresses.end(),
                                           [&](const Socket& address) { return address.family() == first_family; });
  std::vector<Socket> out;
  out.reserve(addresses.size());
  for (auto a = addresses.begin(), b = other; a != other || b != addresses.end();) {
    if (a != other) out.push_back(*a++);
    if (b != addresses.end()) out.push_back(*b++);
  }
  return out;
}

}  // namespace ferry::tcp
