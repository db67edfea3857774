// Which certificate chains were found valid a moment ago, so that the next handshake with the same peer does not parse
// them and check the same signatures again.
#pragma once

#include <gnutls/gnutls.h>

#include <array>
#include <cstddef>
#include <ctime>
#include <optional>
#include <span>
#include <string_view>

#include "quic_options.hpp"

namespace ferry::quic {

/// Of all that a verdict on a peer's chain depends on besides the CAs and the time: the certificates, in order, and the
/// name that they must be for. None where it cannot be computed.
std::optional<Sha256> digest_of_chain(std::string_view name, std::span<const gnutls_datum_t> chain);

/// Belongs to one set of CAs and one role of the peer, as Credentials do. Bounded; what is longest there goes first.
/// Inside the engine.
class VerifiedChains {
 public:
  /// Whether the chain was found valid within the last minute, and would be now.
  bool has(const Sha256& digest, std::time_t now) const noexcept;
  /// `expiry`: the last second in which every certificate that the verdict rests on is valid.
  void add(const Sha256& digest, std::time_t now, std::time_t expiry) noexcept;

  static constexpr std::size_t max_entries = 64;
  /// CAs may come from a PKCS #11 module, which can withdraw them at any time.
  static constexpr std::time_t lifetime_s = 60;

 private:
  struct Entry {
    Sha256 digest;
    std::time_t since;
    std::time_t until;
  };
  std::array<Entry, max_entries> entries_;
  std::size_t added_ = 0;
};

}  // namespace ferry::quic
