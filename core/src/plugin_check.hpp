// Checks everything that a plugin hands over before the core relies on it. Each returns what is wrong, in words for the
// plugin's author, or an empty text. Nothing of the plugin is called. Dangling pointers cannot be seen from here:
// `ferry inspect` meets those in a child process.
#pragma once

#include <cstddef>
#include <string>

#include "ferry/abi.h"

namespace ferry {

inline constexpr std::uint32_t max_plugin_options = 256;
inline constexpr std::size_t max_plugin_schemes = 16;
inline constexpr std::size_t max_plugin_word_bytes = 64;    ///< a name, a scheme, a choice, a version
inline constexpr std::size_t max_plugin_text_bytes = 1024;  ///< a description, a help text, a default

/// @param symbol_size  bytes that the symbol table gives the symbol; reading stays within them
std::string problem_of(const ferry_plugin& plugin, std::size_t symbol_size);
std::string problem_of(const ferry_transport* transport);
std::string problem_of(const ferry_listener* listener);
/// @param capabilities  the plugin's; FERRY_CAP_HALF_CLOSE makes shutdown_write required
std::string problem_of(const ferry_connection* connection, std::uint64_t capabilities);

}  // namespace ferry
