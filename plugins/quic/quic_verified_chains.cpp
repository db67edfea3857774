#include "quic_verified_chains.hpp"

#include <gnutls/crypto.h>

#include <algorithm>
#include <cstdint>
#include <string>

namespace ferry::quic {
namespace {

/// With its length, so that no other pieces make the same.
void add_piece(std::string& out, std::string_view piece) {
  const std::uint64_t size = piece.size();
  out.append(reinterpret_cast<const char*>(&size), sizeof(size));
  out += piece;
}

}  // namespace

std::optional<Sha256> digest_of_chain(std::string_view name, std::span<const gnutls_datum_t> chain) {
  std::string pieces;
  add_piece(pieces, name);
  for (const gnutls_datum_t& der : chain) add_piece(pieces, {reinterpret_cast<const char*>(der.data), der.size});
  Sha256 out;
  if (gnutls_hash_fast(GNUTLS_DIG_SHA256, pieces.data(), pieces.size(), out.data()) < 0) return std::nullopt;
  return out;
}

bool VerifiedChains::has(const Sha256& digest, std::time_t now) const noexcept {
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(std::min(added_, max_entries));
  return std::any_of(entries_.begin(), end, [&](const Entry& entry) {
    return entry.digest == digest && entry.since <= now && now <= entry.until;
  });
}

void VerifiedChains::add(const Sha256& digest, std::time_t now, std::time_t expiry) noexcept {
  entries_[added_++ % max_entries] = {digest, now, std::min(expiry, now + lifetime_s)};
}

}  // namespace ferry::quic
