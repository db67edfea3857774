// The option table of the quic transport and one set of values, owned.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ferry/plugin.hpp"
#include "quic_datagrams.hpp"
#include "quic_keylog.hpp"

namespace ferry::quic {

/// Rows of option_table, in order.
enum Option : std::uint32_t {
  option_alpn,
  option_server_name,
  option_ca,
  option_cert,
  option_key,
  option_pin,
  option_client_ca,
  option_insecure,
  option_resumption,
  option_early_data,
  option_cc,
  option_idle_timeout,
  option_handshake_timeout,
  option_keepalive,
  option_sndbuf,
  option_rcvbuf,
  option_streams,
  option_datagrams,
  option_datagram_drop,
  option_backlog,
  option_retry,
  option_keylog,
  option_qlog,
  option_count
};

inline constexpr const char* cc_choices[] = {"cubic", "reno", "bbr", "bbr2", nullptr};
inline constexpr const char* drop_choices[] = {"oldest", "newest", nullptr};
inline constexpr const char* retry_choices[] = {"auto", "always", "never", nullptr};

extern const std::array<ferry_option, option_count> option_table;

enum class CongestionControl : std::uint8_t { cubic, reno, bbr, bbr2 };
enum class Retry : std::uint8_t { automatic, always, never };

using Sha256 = std::array<std::uint8_t, 32>;

/// One set of option values, owned, so that a listener can keep them.
struct Settings {
  /// Throws plugin::Failure(FERRY_INVALID).
  explicit Settings(plugin::Options options);

  std::vector<std::string> alpn;
  std::string server_name;
  std::string ca;
  std::string cert;
  std::string key;
  std::vector<Sha256> pins;
  std::string client_ca;
  bool insecure;
  bool resumption;
  bool early_data;
  CongestionControl cc;
  std::uint64_t idle_timeout_ns;
  std::uint64_t handshake_timeout_ns;
  std::uint64_t keepalive_ns;  ///< 0: none
  std::uint64_t send_buffer;
  std::uint64_t window;
  std::uint32_t streams;
  std::uint64_t datagrams;  ///< bytes; 0: none are taken
  Drop datagram_drop;
  std::uint32_t backlog;
  Retry retry;
  std::string keylog;
  std::string qlog;
  std::shared_ptr<const Keylog> secrets;  ///< null unless `open_logs` opened one
};

/// The values, with the file open that secrets go to. Throws plugin::Failure when `keylog` or the directory of `qlog`
/// cannot be had; of a key log that the environment names it warns, because that was meant for many programs.
std::shared_ptr<const Settings> open_logs(plugin::Options options, const ferry_host& host);

/// Fills what a connection or listener with these settings has in force. Text points into `settings`' choices (static).
void read_back(const Settings& settings, ferry_value* values, std::uint32_t count) noexcept;

}  // namespace ferry::quic
