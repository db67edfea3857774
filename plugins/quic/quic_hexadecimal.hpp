// Bytes as lower-case hexadecimal digits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ferry::quic {

inline void append_hexadecimal(std::string& out, const std::uint8_t* bytes, std::size_t size) {
  constexpr char digits[] = "0123456789abcdef";
  for (std::size_t i = 0; i < size; ++i) {
    out += digits[bytes[i] >> 4];
    out += digits[bytes[i] & 15];
  }
}

}  // namespace ferry::quic
