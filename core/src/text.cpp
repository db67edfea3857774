#include "text.hpp"

#include <algorithm>
#include <cstdint>

namespace ferry::text {
namespace {

std::uint8_t byte_at(std::string_view text, std::size_t index) noexcept {
  return index < text.size() ? static_cast<std::uint8_t>(text[index]) : std::uint8_t{0};
}

/// Length of the acceptable sequence at `at`, 0 when it is malformed or a control character.
std::size_t printable_length(std::string_view text, std::size_t at) noexcept {
  const std::uint8_t first = byte_at(text, at);
  if (first < 0x20 || first == 0x7f) return 0;
  if (first == 0xc2 && byte_at(text, at + 1) < 0xa0) return 0;  // U+0080…U+009F, or a bad continuation
  return utf8_length(text.substr(at));
}

}  // namespace

bool is_word(std::string_view text, std::string_view more) noexcept {
  return !text.empty() && is_lower(text.front()) && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_lower(c) || is_digit(c) || more.find(c) != std::string_view::npos;
  });
}

// The well-formed sequences of Unicode, table 3-7: only the second byte's range depends on the first.
std::size_t utf8_length(std::string_view text) noexcept {
  const std::uint8_t first = byte_at(text, 0);
  if (text.empty()) return 0;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const std::size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const std::uint8_t second_minimum = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const std::uint8_t second_maximum = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte_at(text, 1) < second_minimum || byte_at(text, 1) > second_maximum) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte_at(text, i) & 0xc0u) != 0x80u) return 0;
  }
  return length;
}

std::size_t find_unprintable(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = printable_length(text, at);
    if (length == 0) return at;
    at += length;
  }
  return std::string_view::npos;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = printable_length(text, at);
    length == 0 ? out += '?' : out.append(text.substr(at, length));
    at += length == 0 ? 1 : length;
  }
  return out;
}

std::string excerpt(std::string_view text) {
  constexpr std::size_t most_bytes = 64;
  if (text.size() <= most_bytes) return printable(text);
  std::size_t end = most_bytes;
  while (end > 0 && (byte_at(text, end) & 0xc0u) == 0x80u) --end;
  return printable(text.substr(0, end)) + "…";
}

std::string name_byte(char byte) {
  const auto value = static_cast<std::uint8_t>(byte);
  if (value > 0x20 && value < 0x7f) return std::string("'") + byte + "'";
  constexpr std::string_view digits = "0123456789abcdef";
  return std::string("byte 0x") + digits[value >> 4] + digits[value & 15];
}

}  // namespace ferry::text
