#include "quic_tickets.hpp"

#include <cstddef>

namespace ferry::quic {
namespace {

constexpr std::uint64_t early_data_extension = 42;
constexpr std::uint64_t early_data_over_quic = 0xffffffff;
constexpr std::size_t lifetime_and_age_bytes = 8;

/// Takes big-endian numbers and pieces off the front; once something is missing, everything is.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) noexcept : rest_(bytes) {}
  bool empty() const noexcept { return rest_.empty(); }
  std::span<const std::uint8_t> take(std::size_t size) noexcept {
    if (size > rest_.size()) {
      rest_ = {};
      return {};
    }
    const auto out = rest_.first(size);
    rest_ = rest_.subspan(size);
    return out;
  }
  std::uint64_t number(std::size_t size) noexcept {
    std::uint64_t out = 0;
    for (const std::uint8_t byte : take(size)) out = out << 8 | byte;
    return out;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

}  // namespace

bool allows_early_data(std::span<const std::uint8_t> message) noexcept {
  Reader reader(message);
  reader.take(lifetime_and_age_bytes);
  reader.take(static_cast<std::size_t>(reader.number(1)));  // the nonce
  reader.take(static_cast<std::size_t>(reader.number(2)));  // the ticket
  Reader extensions(reader.take(static_cast<std::size_t>(reader.number(2))));
  while (!extensions.empty()) {
    const std::uint64_t type = extensions.number(2);
    const auto body = extensions.take(static_cast<std::size_t>(extensions.number(2)));
    if (type == early_data_extension) return body.size() == 4 && Reader(body).number(4) == early_data_over_quic;
  }
  return false;
}

}  // namespace ferry::quic
