// Whatever the text, the configuration is read or refused with problems that lie inside the text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ferry/config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  try {
    (void)ferry::Config::parse(text, "fuzz.json");
  } catch (const ferry::ConfigError& error) {
    if (error.problems().empty()) std::abort();
    for (const ferry::ConfigError::Problem& problem : error.problems()) {
      if (problem.line == 0 || problem.line > lines || problem.column == 0 || problem.column > size + 1) std::abort();
      if (problem.message.empty()) std::abort();
    }
  }
  return 0;
}
