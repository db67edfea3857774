// What the tests of the tcp plugin share: the built plugin, driven through its ABI tables, with owners for its objects.
#pragma once

#include <dirent.h>
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ferry/abi.h"
#include "ferry/sdk/poll_wait.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "tcp_options.hpp"

namespace ferry::tcp::test {

inline std::int64_t in_ms(std::int64_t ms) { return plugin::monotonic_ns() + ms * millisecond_ns; }
/// A deadline that only a defect reaches.
inline std::int64_t soon() { return in_ms(20'000); }

inline const ferry_plugin& tcp_plugin() {
  static const ferry_plugin* const plugin = [] {
    void* library = dlopen(FERRY_TCP_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    REQUIRE_MESSAGE(library != nullptr, dlerror());
    return static_cast<const ferry_plugin*>(dlsym(library, FERRY_PLUGIN_SYMBOL));
  }();
  return *plugin;
}

/// Option values: the table's defaults, and what a test sets.
class Values {
 public:
  Values() {
    set(option_nodelay, 1).set(option_keepalive, 1).set(option_keepalive_idle, 60 * second_ns);
    set(option_keepalive_interval, 10 * second_ns).set(option_keepalive_count, 6).set(option_mptcp, 0);
    set(option_reuse_port, 0).set(option_backlog, 1024).set_text(option_family, "any");
    for (ferry_value& value : values_) value.is_explicit = 0;
  }
  Values& set(Option option, std::int64_t value) { return values_[option] = {value, nullptr, 1, 1}, *this; }
  Values& set_text(Option option, const char* text) { return values_[option] = {0, text, 1, 1}, *this; }
  ferry_values abi() const& { return {sizeof(ferry_values), option_count, sizeof(ferry_value), 0, values_.data()}; }
  ferry_values abi() const&& = delete;  // it points into this

 private:
  std::array<ferry_value, option_count> values_{};
};

struct Error : ferry_error {
  Error() : ferry_error{sizeof(ferry_error), FERRY_OK, 0, 0, {}} {}
  std::string text() const { return message; }
};

/// Owns a connection and forwards to its table.
class Connection {
 public:
  Connection() = default;
  explicit Connection(ferry_connection* raw) : raw_(raw) {}
  Connection(Connection&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Connection& operator=(Connection&& other) noexcept {
    return close(), raw_ = std::exchange(other.raw_, nullptr), *this;
  }
  ~Connection() { close(); }

  ferry_connection* raw() const { return raw_; }
  explicit operator bool() const { return raw_ != nullptr; }
  std::int64_t read(void* data, std::size_t size, std::int64_t deadline = soon()) {
    return raw_->ops->read(raw_, data, size, deadline);
  }
  std::int64_t write(const void* data, std::size_t size, std::int64_t deadline = soon()) {
    const ferry_iovec piece{data, size};
    return raw_->ops->write(raw_, &piece, 1, 0, deadline);
  }
  bool write_all(const std::string& data) {
    for (std::size_t done = 0; done < data.size();) {
      const std::int64_t written = write(data.data() + done, data.size() - done);
      if (written <= 0) return false;
      done += static_cast<std::size_t>(written);
    }
    return true;
  }
  /// Reads until a status other than a byte count, which goes to `last`.
  std::string read_all(std::int64_t& last) {
    std::string out;
    std::vector<char> buffer(65536);
    while ((last = read(buffer.data(), buffer.size())) > 0) out.append(buffer.data(), static_cast<std::size_t>(last));
    return out;
  }
  ferry_status finish(std::int64_t deadline = soon()) { return raw_->ops->finish(raw_, deadline); }
  ferry_status shutdown_write() { return raw_->ops->shutdown_write(raw_); }
  void interrupt() { raw_->ops->interrupt(raw_); }
  void close() {
    if (raw_ != nullptr) raw_->ops->close(std::exchange(raw_, nullptr));
  }
  void abort() { raw_->ops->abort(std::exchange(raw_, nullptr)); }
  ferry_connection_info info() const {
    ferry_connection_info out{};
    out.struct_size = sizeof(out);
    CHECK(raw_->ops->info(raw_, &out) == FERRY_OK);
    return out;
  }
  std::array<ferry_value, option_count> effective() const {
    std::array<ferry_value, option_count> out{};
    CHECK(raw_->ops->effective(raw_, out.data(), option_count) == FERRY_OK);
    return out;
  }
  int fd() const {
    ferry_pollable out{};
    CHECK(raw_->ops->pollable(raw_, FERRY_READ, &out) == FERRY_OK);
    return static_cast<int>(out.handle);
  }
  /// Waits until input, an end or an error is there, without taking it.
  void await_input() const {
    pollfd entry{fd(), POLLIN, 0};
    REQUIRE(plugin::poll_until(&entry, 1, soon()) == 1);
  }

 private:
  ferry_connection* raw_ = nullptr;
};

class Listener {
 public:
  explicit Listener(ferry_listener* raw) : raw_(raw) {}
  Listener(Listener&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  ~Listener() {
    if (raw_ != nullptr) raw_->ops->close(raw_);
  }
  ferry_listener* raw() const { return raw_; }
  ferry_status accept(Connection& out, std::int64_t deadline = soon(), ferry_error* error = nullptr) {
    ferry_connection* raw = nullptr;
    const ferry_status status = raw_->ops->accept(raw_, deadline, &raw, error);
    if (status == FERRY_OK) out = Connection(raw);
    return status;
  }
  Connection accept() {
    Connection out;
    REQUIRE(accept(out) == FERRY_OK);
    return out;
  }
  std::string address() const {
    std::string out(raw_->ops->local_address(raw_, nullptr, 0), '\0');
    raw_->ops->local_address(raw_, out.data(), static_cast<std::uint32_t>(out.size()));
    out.pop_back();
    return out;
  }

 private:
  ferry_listener* raw_;
};

/// A transport made by the plugin, on a host that offers nothing.
class Transport {
 public:
  Transport() {
    const Values defaults;
    const ferry_values abi = defaults.abi();
    REQUIRE(tcp_plugin().create(&host_, &abi, &raw_, nullptr) == FERRY_OK);
  }
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  ~Transport() { raw_->ops->destroy(raw_); }

  ferry_transport* raw() const { return raw_; }
  ferry_status try_connect(const std::string& address, Connection& out, ferry_error* error = nullptr,
                           std::int64_t deadline = soon(), const Values& values = {},
                           const ferry_cancel* cancel = nullptr) {
    ferry_connection* raw = nullptr;
    const ferry_values abi = values.abi();
    const ferry_status status = raw_->ops->connect(raw_, address.c_str(), &abi, deadline, cancel, &raw, error);
    if (status == FERRY_OK) out = Connection(raw);
    return status;
  }
  Connection connect(const std::string& address, const Values& values = {}) {
    Connection out;
    Error error;
    REQUIRE_MESSAGE(try_connect(address, out, &error, soon(), values) == FERRY_OK, error.text());
    return out;
  }
  ferry_status try_listen(const std::string& address, ferry_error* error, const Values& values = {}) {
    ferry_listener* raw = nullptr;
    const ferry_values abi = values.abi();
    const ferry_status status = raw_->ops->listen(raw_, address.c_str(), &abi, &raw, error);
    if (status == FERRY_OK) raw->ops->close(raw);
    return status;
  }
  Listener listen(const std::string& address = "127.0.0.1:0", const Values& values = {}) {
    ferry_listener* raw = nullptr;
    const ferry_values abi = values.abi();
    Error error;
    REQUIRE_MESSAGE(raw_->ops->listen(raw_, address.c_str(), &abi, &raw, &error) == FERRY_OK, error.text());
    return Listener(raw);
  }

 private:
  ferry_host host_{sizeof(ferry_host), FERRY_ABI_MAJOR, FERRY_ABI_MINOR, 0, nullptr, nullptr, nullptr, nullptr};
  ferry_transport* raw_ = nullptr;
};

/// Both ends of one connection.
struct Pair {
  explicit Pair(const Values& values = {}, const Values& listen_values = {}) {
    Listener listener = transport.listen("127.0.0.1:0", listen_values);
    client = transport.connect(listener.address(), values);
    server = listener.accept();
  }
  Transport transport;
  Connection client, server;
};

inline std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

/// Fixture: the test leaves no descriptor behind.
struct NoLeak {
  NoLeak() {
    tcp_plugin();
    before_ = open_descriptors();
  }
  ~NoLeak() { CHECK(open_descriptors() == before_); }

 private:
  std::size_t before_ = 0;
};

/// Runs `body` on a thread; asleep() returns once that thread sleeps in the kernel, or has ended.
class Sleeper {
 public:
  template <class Body>
  explicit Sleeper(Body body)
      : thread_([this, body] {
          tid_.store(gettid());  // pairs with the load in asleep
          body();
          ended_.store(true);
        }) {}
  ~Sleeper() { thread_.join(); }
  void asleep() const {
    while (tid_.load() == 0) std::this_thread::yield();
    const std::string path = "/proc/self/task/" + std::to_string(tid_.load()) + "/stat";
    for (char state = 'R'; state != 'S' && !ended_.load();) {
      std::string text;
      std::ifstream file(path);
      std::getline(file, text);
      const std::size_t name_end = text.rfind(')');
      if (name_end != std::string::npos && name_end + 2 < text.size()) state = text[name_end + 2];
      std::this_thread::yield();
    }
  }

 private:
  std::atomic<pid_t> tid_{0};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

/// A loopback port where nobody listens, and which nobody else can take meanwhile.
class ClosedPort {
 public:
  ClosedPort() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    REQUIRE(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    REQUIRE(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  const std::string& address() const { return address_; }

 private:
  plugin::UniqueFd socket_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::string address_;
};

/// A loopback listener that answers no more handshakes because its queue is full: what a black hole looks like.
class BlackHole {
 public:
  explicit BlackHole(Transport& transport)
      : listener_(transport.listen("127.0.0.1:0", Values().set(option_backlog, 1))) {
    for (;;) {
      Connection filler;
      const ferry_status status = transport.try_connect(listener_.address(), filler, nullptr, FERRY_NO_WAIT);
      if (status == FERRY_WOULD_BLOCK) break;
      REQUIRE(status == FERRY_OK);
      fillers_.push_back(std::move(filler));
    }
  }
  std::string address() const { return listener_.address(); }
  Listener& listener() { return listener_; }

 private:
  Listener listener_;
  std::vector<Connection> fillers_;
};

inline bool have_ipv6(Transport& transport) {
  Error error;
  if (transport.try_listen("[::1]:0", &error) == FERRY_OK) return true;
  MESSAGE("skipped, this system has no IPv6 loopback: ", error.text());
  return false;
}

}  // namespace ferry::tcp::test
