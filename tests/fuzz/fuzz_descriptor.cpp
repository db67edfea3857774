// Whatever the text, parsing gives endpoints that print back to themselves or an error inside the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ferry/endpoint.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const ferry::Endpoint& endpoint) {
  require(ferry::parse_endpoint(endpoint.to_string()) == endpoint);
  try {
    require(ferry::parse_endpoint(endpoint.to_tab()) == endpoint);
  } catch (const ferry::DescriptorError&) {
    std::abort();  // the tab form was printed and is malformed
  } catch (const ferry::Error& error) {
    require(error.status() == ferry::Status::unsupported);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const ferry::Endpoint& endpoint : ferry::parse_endpoints(text)) check(endpoint);
  } catch (const ferry::DescriptorError& error) {
    require(error.offset() <= size && !error.reason().empty());
  }
  return 0;
}
