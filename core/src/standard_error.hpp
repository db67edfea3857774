// Standard error as the log's sink needs it.
#pragma once

#include <cstddef>
#include <string_view>

namespace ferry {

/// Writes as much of `text` as standard error takes without waiting, and returns how much that was. Any thread, but not
/// two at once.
std::size_t write_standard_error(std::string_view text) noexcept;
bool standard_error_is_terminal() noexcept;

}  // namespace ferry
