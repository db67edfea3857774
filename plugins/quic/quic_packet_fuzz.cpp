// libFuzzer target of the packet entry: datagrams, as anybody can send them, to a listening port. The input is a list
// of datagrams, each behind its length in two bytes. Its corpus is tests/fuzz/corpus/fuzz_quic_packet.
#include <netinet/in.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ferry/sdk/poll_wait.hpp"
#include "keygen/self_signed.hpp"
#include "quic_acceptor.hpp"

namespace {

using namespace ferry::quic;

constexpr ferry_host quiet_host = {sizeof(ferry_host),
                                   FERRY_ABI_MAJOR,
                                   FERRY_ABI_MINOR,
                                   0,
                                   [](const ferry_host*, ferry_log_level, const char*) {},
                                   [](const ferry_host*) { return ferry::plugin::monotonic_ns(); },
                                   nullptr,
                                   nullptr};

Settings settings_with(const std::string& certificate, const std::string& key) {
  std::vector<ferry_value> values(option_count, ferry_value{});
  const auto text = [&](Option option, const char* value) { values[option] = {0, value, 1, 1}; };
  const auto number = [&](Option option, std::int64_t value) { values[option] = {value, nullptr, 1, 1}; };
  text(option_alpn, "ferry");
  text(option_cert, certificate.c_str());
  text(option_key, key.c_str());
  text(option_cc, "cubic");
  text(option_retry, "auto");
  number(option_idle_timeout, 30'000'000'000);
  number(option_handshake_timeout, 10'000'000'000);
  number(option_sndbuf, 1 << 20);
  number(option_rcvbuf, 1 << 20);
  number(option_backlog, 64);
  const ferry_values abi{sizeof(ferry_values), option_count, sizeof(ferry_value), 0, values.data()};
  return Settings(ferry::plugin::Options(&abi));
}

/// A listening port whose packets come from the fuzzer.
class Port {
 public:
  Port() : engine_(quiet_host) {
    char directory[] = "/tmp/ferry-fuzz-XXXXXX";
    if (::mkdtemp(directory) == nullptr) std::abort();
    const std::string certificate = std::string(directory) + "/crt";
    const std::string key = std::string(directory) + "/key";
    const auto pair = ferry::host::make_self_signed({"localhost"}, std::chrono::hours(24));
    std::ofstream(certificate) << pair.certificate_pem;
    std::ofstream(key) << pair.key_pem;
    auto settings = std::make_shared<const Settings>(settings_with(certificate, key));
    auto credentials = std::make_shared<const Credentials>(*settings, true);
    std::filesystem::remove_all(directory);
    local_.storage.ss_family = AF_INET;
    local_.size = sizeof(sockaddr_in);
    auto& address = reinterpret_cast<sockaddr_in&>(local_.storage);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    remote_ = local_;
    reinterpret_cast<sockaddr_in&>(remote_.storage).sin_port = htons(9);  // discard
    engine_.start();
    acceptor_ = std::make_shared<Acceptor>(engine_, UdpSocket::bound(local_, false));
    const Engine::Inside inside(engine_);
    acceptor_->open(std::move(settings), std::move(credentials));
  }

  void receive(std::span<const std::uint8_t> input) {
    const Engine::Inside inside(engine_);
    while (input.size() > 2) {
      const std::size_t size = std::min<std::size_t>(std::size_t{input[0]} * 256 + input[1], input.size() - 2);
      if (size > 0) acceptor_->on_packet({local_, remote_, 0, input.subspan(2, size)}, now_ns());
      input = input.subspan(2 + size);
    }
    for (Session* session : engine_.sessions_of(*acceptor_)) session->cut();
  }

 private:
  Engine engine_;
  std::shared_ptr<Acceptor> acceptor_;
  SocketAddress local_;
  SocketAddress remote_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Port& port = *new Port;  // to the end of the process: its thread must not outlive what it uses
  port.receive({data, size});
  return 0;
}
