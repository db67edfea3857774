// The near miss a message should offer when a name is unknown.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ferry {

/// The candidate closest to `word` if it is close enough to be what was meant, else an empty view. Counts insertions,
/// deletions, substitutions and swaps of neighbours; letters compare without case.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

/// "; did you mean 'nodelay'?" or an empty text, to be appended to a message.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace ferry
