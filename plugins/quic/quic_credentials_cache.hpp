// Credentials that a transport's connections and listeners share.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "quic_tls.hpp"

namespace ferry::quic {

/// Credentials by the files they were read from, so that a connect does not parse a CA bundle again. A file that
/// changed is read anew; connections made before keep what they had. Any thread.
class CredentialsCache {
 public:
  /// `host` outlives it.
  explicit CredentialsCache(const ferry_host& host) noexcept : host_(host) {}

  /// Warns of a private key that others may read, when it is read. Throws plugin::Failure as Credentials does.
  std::shared_ptr<const Credentials> get(const Settings& settings, bool server);

 private:
  static constexpr std::size_t max_entries = 64;
  const ferry_host& host_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Credentials>> entries_;
};

}  // namespace ferry::quic
