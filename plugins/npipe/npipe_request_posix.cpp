#include "npipe_request_posix.hpp"

#include <algorithm>

namespace ferry::npipe {
namespace {

// A byte that no text begins with, the name, and the version of the layout.
constexpr std::array<std::uint8_t, 8> magic = {0xF5, 'f', 'e', 'r', 'r', 'y', 'P', 1};
constexpr std::size_t id_at = magic.size();
constexpr std::size_t checksum_at = id_at + sizeof(PairId);
static_assert(checksum_at + sizeof(std::uint64_t) == request_bytes);

/// FNV-1a, 64 bits: tells a request from other bytes, and from the end of one and the start of another.
std::uint64_t checksum(std::span<const std::uint8_t> bytes) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3u;
  return hash;
}

bool is_request(const Request& request) noexcept {
  if (!std::equal(magic.begin(), magic.end(), request.begin())) return false;
  std::uint64_t stated = 0;
  for (std::size_t i = request_bytes; i-- > checksum_at;) stated = stated << 8 | request[i];
  return stated == checksum(std::span(request).first(checksum_at));
}

}  // namespace

Request make_request(const PairId& id) noexcept {
  Request request{};
  std::copy(magic.begin(), magic.end(), request.begin());
  std::copy(id.begin(), id.end(), request.begin() + id_at);
  std::uint64_t sum = checksum(std::span(request).first(checksum_at));
  for (std::size_t i = checksum_at; i < request_bytes; ++i, sum >>= 8) request[i] = static_cast<std::uint8_t>(sum);
  return request;
}

std::string to_text(const PairId& id) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : id) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

RequestReader::Found RequestReader::added(std::size_t count, PairId& id) noexcept {
  held_ += count;
  if (held_ < request_bytes) return Found::nothing_yet;
  if (is_request(bytes_)) {
    std::copy_n(bytes_.begin() + id_at, id.size(), id.begin());
    return Found::request;
  }
  const auto start = std::find(bytes_.begin() + 1, bytes_.end(), magic.front());
  std::copy(start, bytes_.end(), bytes_.begin());
  held_ = static_cast<std::size_t>(bytes_.end() - start);
  return Found::junk;
}

}  // namespace ferry::npipe
