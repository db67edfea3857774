// What tests of the quic transport share: a key pair, and two engines in one process.
#pragma once

#include <chrono>
#include <fstream>
#include <future>
#include <string>

#include "ferry/runtime.hpp"
#include "keygen/self_signed.hpp"
#include "support/temporary_directory.hpp"

namespace ferry::quic_test {

using namespace std::chrono_literals;

class World {
 public:
  World() : runtime_(config()), elsewhere_(config()) {
    const host::SelfSigned pair = host::make_self_signed({"localhost", "127.0.0.1"}, 24h);
    std::ofstream(file("crt")) << pair.certificate_pem;
    std::ofstream(file("key")) << pair.key_pem;
  }
  Listener listen(const std::string& options = {}) { return runtime_.listen(listening(options)); }
  /// What to listen at with the key pair.
  std::string listening(const std::string& options = {}) const {
    return "quic://127.0.0.1:0?cert=" + file("crt") + "&key=" + file("key") + options;
  }
  Connection connect(const std::string& listener) { return runtime_.connect_stream(dialable(listener), 10s); }
  /// From an engine that no listener shares.
  Connection connect_from_elsewhere(const std::string& listener, const std::string& options = {}) {
    return elsewhere_.connect_stream(dialable(listener) + options, 10s);
  }

  static Config config() {
    Config out;
    out.plugins.plugin_dirs = {FERRY_PLUGIN_DIR};
    return out;
  }

 private:
  std::string dialable(const std::string& listener) const {
    return listener.substr(0, listener.find('?')) + "?ca=" + file("crt");
  }
  std::string file(const char* name) const { return (directory_.path() / name).string(); }

  test::TemporaryDirectory directory_;
  Runtime runtime_, elsewhere_;
};

}  // namespace ferry::quic_test
