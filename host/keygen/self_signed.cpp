#include "keygen/self_signed.hpp"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>
#include <string_view>

#include "exit_code.hpp"

namespace ferry::host {
namespace {

constexpr std::size_t max_name_bytes = 253;        // RFC 1035, section 2.3.4, as text
constexpr std::size_t max_label_bytes = 63;        // the same section
constexpr std::size_t max_common_name_bytes = 64;  // ub-common-name, RFC 5280, appendix A.1
constexpr std::size_t serial_bytes = 16;           // at most 20, RFC 5280, section 4.1.2.2
constexpr unsigned certificate_version = 3;        // the one with extensions

void check(int result, const char* operation) {
  if (result < 0) throw Failure(ExitCode::operation, std::string(operation) + ": " + gnutls_strerror(result));
}

template <auto Release>
struct Releaser {
  template <class T>
  void operator()(T* object) const noexcept {
    Release(object);
  }
};
using Key = std::unique_ptr<gnutls_x509_privkey_int, Releaser<gnutls_x509_privkey_deinit>>;
using Certificate = std::unique_ptr<gnutls_x509_crt_int, Releaser<gnutls_x509_crt_deinit>>;

/// What GnuTLS exported into memory of its own.
struct Datum : gnutls_datum_t {
  Datum() : gnutls_datum_t{nullptr, 0} {}
  Datum(const Datum&) = delete;
  Datum& operator=(const Datum&) = delete;
  ~Datum() { gnutls_free(data); }
  std::string text() const { return {reinterpret_cast<const char*>(data), size}; }
};

Key make_key() {
  gnutls_x509_privkey_t raw = nullptr;
  check(gnutls_x509_privkey_init(&raw), "make a key");
  Key key(raw);
  check(gnutls_x509_privkey_generate(raw, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
        "make a P-256 key");
  return key;
}

bool is_label(std::string_view label) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !label.empty() && label.size() <= max_label_bytes && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), allowed);
}

/// A host name, or a wildcard for one label before it (RFC 6125, section 6.4.3).
bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > max_name_bytes) return false;
  if (name.starts_with("*.")) name.remove_prefix(2);
  for (;;) {
    const std::size_t dot = name.find('.');
    if (!is_label(name.substr(0, dot))) return false;
    // A number at the end makes it an IPv4 address, a malformed one, to those who resolve it.
    if (dot == std::string_view::npos) return name.find_first_not_of("0123456789") != std::string_view::npos;
    name.remove_prefix(dot + 1);
  }
}

void add_name(gnutls_x509_crt_t certificate, const std::string& name) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  gnutls_x509_subject_alt_name_t kind = GNUTLS_SAN_IPADDRESS;
  const void* data = address.data();
  std::size_t size = 0;
  if (::inet_pton(AF_INET, name.c_str(), address.data()) == 1) {
    size = sizeof(in_addr);
  } else if (::inet_pton(AF_INET6, name.c_str(), address.data()) == 1) {
    size = sizeof(in6_addr);
  } else if (is_host_name(name)) {
    kind = GNUTLS_SAN_DNSNAME;
    data = name.data();
    size = name.size();
  } else {
    throw Failure(ExitCode::usage, "'" + name + "' is neither a host name nor an IP address");
  }
  check(gnutls_x509_crt_set_subject_alt_name(certificate, kind, data, static_cast<unsigned>(size), GNUTLS_FSAN_APPEND),
        "add a name to the certificate");
}

void set_serial(gnutls_x509_crt_t certificate) {
  std::array<unsigned char, serial_bytes> serial{};
  check(gnutls_rnd(GNUTLS_RND_NONCE, serial.data(), serial.size()), "make a serial number");
  serial.front() = static_cast<unsigned char>((serial.front() & 0x7f) | 0x40);  // positive, and no leading zero
  check(gnutls_x509_crt_set_serial(certificate, serial.data(), serial.size()), "set the serial number");
}

void set_lifetime(gnutls_x509_crt_t certificate, std::chrono::seconds life) {
  const auto now = std::chrono::system_clock::now();
  const auto at = [](auto time) { return std::chrono::system_clock::to_time_t(time); };
  check(gnutls_x509_crt_set_activation_time(certificate, at(now - std::chrono::hours(1))),
        "set the certificate's start");
  check(gnutls_x509_crt_set_expiration_time(certificate, at(now + life)), "set the certificate's end");
}

void set_purposes(gnutls_x509_crt_t certificate) {
  check(gnutls_x509_crt_set_basic_constraints(certificate, 0, -1), "set the certificate's constraints");
  check(gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE), "set the key's usage");
  for (const char* purpose : {GNUTLS_KP_TLS_WWW_SERVER, GNUTLS_KP_TLS_WWW_CLIENT}) {
    check(gnutls_x509_crt_set_key_purpose_oid(certificate, purpose, 0), "set the key's purposes");
  }
}

Certificate make_certificate(const Key& key, const std::vector<std::string>& names, std::chrono::seconds life) {
  gnutls_x509_crt_t raw = nullptr;
  check(gnutls_x509_crt_init(&raw), "make a certificate");
  Certificate certificate(raw);
  check(gnutls_x509_crt_set_version(raw, certificate_version), "set the certificate's version");
  check(gnutls_x509_crt_set_key(raw, key.get()), "set the certificate's key");
  set_serial(raw);
  set_lifetime(raw, life);
  for (const std::string& name : names) add_name(raw, name);
  const std::string common_name = names.front().substr(0, max_common_name_bytes);
  check(gnutls_x509_crt_set_dn_by_oid(raw, GNUTLS_OID_X520_COMMON_NAME, 0, common_name.data(),
                                      static_cast<unsigned>(common_name.size())),
        "set the certificate's subject");
  set_purposes(raw);
  check(gnutls_x509_crt_sign2(raw, raw, key.get(), GNUTLS_DIG_SHA256, 0), "sign the certificate");
  return certificate;
}

std::string hexadecimal_sha256(const gnutls_datum_t& data) {
  std::array<unsigned char, 32> digest{};
  check(gnutls_hash_fast(GNUTLS_DIG_SHA256, data.data, data.size, digest.data()), "compute SHA-256");
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

}  // namespace

SelfSigned make_self_signed(const std::vector<std::string>& names, std::chrono::seconds life) {
  const Key key = make_key();
  const Certificate certificate = make_certificate(key, names, life);
  Datum key_pem, certificate_pem, certificate_der;
  check(gnutls_x509_privkey_export2_pkcs8(key.get(), GNUTLS_X509_FMT_PEM, nullptr, GNUTLS_PKCS_PLAIN, &key_pem),
        "write the key");
  check(gnutls_x509_crt_export2(certificate.get(), GNUTLS_X509_FMT_PEM, &certificate_pem), "write the certificate");
  check(gnutls_x509_crt_export2(certificate.get(), GNUTLS_X509_FMT_DER, &certificate_der), "write the certificate");
  return {certificate_pem.text(), key_pem.text(), hexadecimal_sha256(certificate_der)};
}

}  // namespace ferry::host
