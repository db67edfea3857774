// Checks on text that users wrote, shared by the descriptor and configuration parsers.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ferry::text {

/// The first byte that text for people must not hold: malformed UTF-8 (overlong forms and surrogates included) or a
/// control character (U+0000…U+001F, U+007F…U+009F). npos when there is none.
std::size_t find_unprintable(std::string_view text) noexcept;

/// The length in bytes of the well-formed UTF-8 sequence at the start of `text`, 0 when there is none.
std::size_t utf8_length(std::string_view text) noexcept;

/// `text` with every byte that find_unprintable would report replaced by '?'.
std::string printable(std::string_view text);

/// `text` made printable and cut to a length that a message can quote.
std::string excerpt(std::string_view text);

/// "byte 0x1b" or "'x'", to name one byte in a message.
std::string name_byte(char byte);

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }

/// Whether `text` is a lower-case letter, then lower-case letters, digits and bytes of `more`: the shape of the ABI's
/// names (more: "_") and schemes ("+.-").
bool is_word(std::string_view text, std::string_view more) noexcept;

}  // namespace ferry::text
