// The quic transport plugin: its description and the transport object. See README.md.
#include <mutex>

#include "quic_connect.hpp"
#include "quic_connection.hpp"
#include "quic_credentials_cache.hpp"
#include "quic_listener.hpp"
#include "quic_qlog.hpp"

namespace ferry::quic {
namespace {

class QuicTransport : public plugin::Transport<QuicTransport> {
 public:
  QuicTransport(const ferry_host& host, plugin::Options) : credentials_(host), engine_(host) {}

  std::unique_ptr<QuicConnection> connect(const char* address, plugin::Options options, std::int64_t deadline_ns,
                                          const ferry_cancel* cancel, ferry_status& why_not) {
    const plugin::HostAddress target = plugin::parse_host_address(address);
    plugin::require_dialable(target);
    const auto settings = open_logs(options, engine_.host());
    if (deadline_ns == FERRY_NO_WAIT) {  // a handshake takes waiting, always
      why_not = FERRY_WOULD_BLOCK;
      return nullptr;
    }
    const auto credentials = credentials_.get(*settings, false);
    engine_.start();
    if (settings->early_data)
      std::call_once(warned_, [&] { warn_of_early_data(engine_, std::string("quic ") + address); });
    if (settings->insecure) {
      engine_.log(FERRY_LOG_WARNING,
                  std::string("quic ") + address +
                      ": insecure=true takes any certificate; anybody on the path can read and forge");
    }
    const auto candidates = plugin::resolve(target, plugin::AddressFamily::any, deadline_ns, cancel);
    const std::string& name = settings->server_name.empty() ? target.host : settings->server_name;
    const auto session = connect_first(engine_, candidates, name, settings, credentials, deadline_ns, cancel);
    return std::make_unique<QuicConnection>(engine_, session->primary());
  }

  std::unique_ptr<QuicListener> listen(const char* address, plugin::Options options) {
    const plugin::HostAddress at = plugin::parse_host_address(address);
    const auto settings = open_logs(options, engine_.host());
    auto credentials = credentials_.get(*settings, true);
    engine_.start();
    return std::make_unique<QuicListener>(engine_, at, settings, credentials_, std::move(credentials));
  }

  void effective(plugin::Options options, ferry_value* values, std::uint32_t count) {
    const Settings settings(options);
    // What is wrong with the files. A client_ca is for who listens, and nobody does without a certificate.
    (void)credentials_.get(settings, !settings.client_ca.empty() && !settings.cert.empty());
    if (!settings.qlog.empty()) check_qlog_directory(settings.qlog);
    read_back(settings, values, count);
  }

  static void check_address(std::string_view address) { plugin::parse_host_address(address); }

 private:
  CredentialsCache credentials_;
  Engine engine_;
  std::once_flag warned_;  // of the early data of connects
};

constexpr const char* schemes[] = {"quic", nullptr};

}  // namespace
}  // namespace ferry::quic

FERRY_PLUGIN(ferry::quic::QuicTransport, {.name = "quic",
                                          .version = "0.1.0",
                                          .description = "QUIC (RFC 9000): TLS 1.3 over UDP, on ngtcp2 and GnuTLS",
                                          .licence = "Apache-2.0",
                                          .schemes = ferry::quic::schemes,
                                          .capabilities = FERRY_CAP_STREAM | FERRY_CAP_HALF_CLOSE | FERRY_CAP_RESET |
                                                          FERRY_CAP_REMOTE | FERRY_CAP_ENCRYPTED | FERRY_CAP_EPHEMERAL |
                                                          FERRY_CAP_STREAMS | FERRY_CAP_DATAGRAMS | FERRY_CAP_IDENTITY,
                                          .options = ferry::quic::option_table.data(),
                                          .option_count = ferry::quic::option_count,
                                          .ephemeral_address = "127.0.0.1:0"});
