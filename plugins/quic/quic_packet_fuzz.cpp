// libFuzzer target of the packet entry: datagrams, as anybody can send them, to a listening port. The input is a list
// of datagrams, each behind its length in two bytes. Its corpus is tests/fuzz/corpus/fuzz_quic_packet.
#include <netinet/in.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "keygen/self_signed.hpp"
#include "quic_acceptor.hpp"
#include "quic_test_engine.hpp"

namespace {

using namespace ferry::quic;

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
    auto settings =
        settings_of({{option_cert, certificate.c_str()}, {option_key, key.c_str()}, {option_retry, "auto"}}, 64);
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
