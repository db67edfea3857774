// A key and the certificate it signs for itself, in memory. The only part of `ferry` that uses GnuTLS: transports bring
// their own TLS, and nettle, which the core has anyway, cannot write X.509.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace ferry::host {

struct SelfSigned {
  std::string certificate_pem;
  std::string key_pem;             ///< PKCS #8, not encrypted
  std::string certificate_sha256;  ///< of the DER form, 64 lower-case hexadecimal digits
};

/// Makes a fresh P-256 key and a certificate for servers and clients that it signs itself: no certification authority
/// (RFC 5280, section 4.2.1.9), since what holds the key must vouch for nobody else.
/// @param names  IP addresses and host names, at least one; the first is the subject's common name as well
/// @param life   from now; the certificate is valid an hour earlier, for peers whose clock is behind
/// Throws Failure: exit code 2 for a name that is neither, 1 for what GnuTLS reports.
SelfSigned make_self_signed(const std::vector<std::string>& names, std::chrono::seconds life);

}  // namespace ferry::host
