// A plugin driven through its ABI tables alone, for tests that must see what the core would smooth over.
#pragma once

#include <dirent.h>
#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "ferry/abi.h"
#include "ferry/deadline.hpp"
#include "ferry/options.hpp"
#include "support/temporary_directory.hpp"

namespace ferry::test {

/// Deadline of calls that are expected to return: a lost wake-up shows as FERRY_TIMED_OUT and not as a hang.
inline std::int64_t soon() { return monotonic_now_ns() + 20'000'000'000; }
inline std::int64_t in_ms(std::int64_t ms) { return monotonic_now_ns() + ms * 1'000'000; }

/// Descriptors that this process has open.
inline int count_fds() {
  int count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

/// Runs `body` in a thread; `until_asleep` returns when the kernel has put that thread to sleep (or it has ended), so a
/// test wakes a sleeper and not one that is still on its way. Joins on destruction.
class Sleeper {
 public:
  explicit Sleeper(std::function<void()> body)
      : thread_([this, body = std::move(body)] {
          id_ = static_cast<int>(::syscall(SYS_gettid));
          body();
          done_ = true;
        }) {}
  ~Sleeper() { join(); }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  /// Asleep in ppoll or a blocking connect; a socket's nap in recv or send comes before that.
  void until_asleep() { until_in(SYS_ppoll, SYS_connect); }
  /// Asleep in one of these system calls.
  void until_in(long call, long other) {
    while (id_ == 0) std::this_thread::yield();
    const std::string path = "/proc/self/task/" + std::to_string(id_.load()) + "/syscall";
    while (!done_) {
      // "running", or the number of the system call that the thread sleeps in.
      std::ifstream file(path);
      long number = -1;
      if (file >> number && (number == call || number == other)) return;
      std::this_thread::yield();
    }
  }

 private:
  std::atomic<int> id_{0};
  std::atomic<bool> done_{false};
  std::thread thread_;
};

/// What a cold call said.
struct Said {
  ferry_status status = FERRY_OK;
  std::string message;
  bool mentions(std::string_view text) const { return message.find(text) != std::string::npos; }
};

/// An owned connection; closed on destruction.
class RawConnection {
 public:
  RawConnection() = default;
  explicit RawConnection(ferry_connection* raw) : raw_(raw) {}
  RawConnection(RawConnection&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  RawConnection& operator=(RawConnection&& other) noexcept {
    close();
    raw_ = std::exchange(other.raw_, nullptr);
    return *this;
  }
  ~RawConnection() { close(); }

  explicit operator bool() const { return raw_ != nullptr; }
  ferry_connection* get() const { return raw_; }
  void close() {
    if (raw_ != nullptr) raw_->ops->close(std::exchange(raw_, nullptr));
  }
  void abort() { raw_->ops->abort(std::exchange(raw_, nullptr)); }
  ferry_connection* release() { return std::exchange(raw_, nullptr); }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline = soon()) const {
    return raw_->ops->read(raw_, data, size, deadline);
  }
  std::int64_t write(std::string_view text, std::int64_t deadline = soon()) const {
    const ferry_iovec piece{text.data(), text.size()};
    return raw_->ops->write(raw_, &piece, 1, 0, deadline);
  }
  ferry_status finish(std::int64_t deadline = soon()) const { return raw_->ops->finish(raw_, deadline); }
  ferry_status shutdown_write() const { return raw_->ops->shutdown_write(raw_); }
  void interrupt() const { raw_->ops->interrupt(raw_); }

  /// Writes all of `text`; returns the status that ended it, FERRY_OK when nothing did.
  ferry_status write_all(std::string_view text) const {
    while (!text.empty()) {
      const std::int64_t written = write(text);
      if (written < 0) return static_cast<ferry_status>(written);
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return FERRY_OK;
  }
  /// Reads to the end; `status` is what ended it.
  std::string read_all(ferry_status& status) const {
    std::string all;
    std::vector<char> buffer(256 * 1024);
    for (;;) {
      const std::int64_t size = read(buffer.data(), buffer.size());
      if (size < 0) {
        status = static_cast<ferry_status>(size);
        return all;
      }
      all.append(buffer.data(), static_cast<std::size_t>(size));
    }
  }
  template <class Table>
  const Table* extension(const char* id) const {
    return static_cast<const Table*>(raw_->ops->get_extension(raw_, id));
  }

 private:
  ferry_connection* raw_ = nullptr;
};

/// An owned listener; closed on destruction.
class RawListener {
 public:
  RawListener() = default;
  explicit RawListener(ferry_listener* raw) : raw_(raw) {}
  RawListener(RawListener&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  RawListener& operator=(RawListener&& other) noexcept {
    close();
    raw_ = std::exchange(other.raw_, nullptr);
    return *this;
  }
  ~RawListener() { close(); }

  explicit operator bool() const { return raw_ != nullptr; }
  ferry_listener* get() const { return raw_; }
  void close() {
    if (raw_ != nullptr) raw_->ops->close(std::exchange(raw_, nullptr));
  }
  RawConnection accept(std::int64_t deadline = soon(), Said* said = nullptr) const {
    ferry_connection* out = nullptr;
    ferry_error error{};
    error.struct_size = sizeof(error);
    const ferry_status status = raw_->ops->accept(raw_, deadline, &out, &error);
    if (said != nullptr) *said = {status, error.message};
    return RawConnection(out);
  }
  void interrupt() const { raw_->ops->interrupt(raw_); }
  std::string address() const {
    std::string text(raw_->ops->local_address(raw_, nullptr, 0), '\0');
    raw_->ops->local_address(raw_, text.data(), static_cast<std::uint32_t>(text.size()));
    text.pop_back();
    return text;
  }

 private:
  ferry_listener* raw_ = nullptr;
};

/// A transport of `plugin`, with a host that keeps what is logged.
class RawTransport {
 public:
  using Settings = std::initializer_list<std::pair<const char*, std::string>>;

  explicit RawTransport(const ferry_plugin& plugin) : plugin_(plugin) {
    host_.abi = {sizeof(ferry_host), FERRY_ABI_MAJOR, FERRY_ABI_MINOR, 0, &log, &now_ns, &timeout_ms, &get_extension};
    const OptionValues values = resolve({});
    const ferry_values passed = values.abi();
    REQUIRE(plugin.create(&host_.abi, &passed, &raw_, nullptr) == FERRY_OK);
  }
  RawTransport(const RawTransport&) = delete;
  RawTransport& operator=(const RawTransport&) = delete;
  ~RawTransport() { raw_->ops->destroy(raw_); }

  ferry_transport* get() const { return raw_; }
  std::uint32_t option(std::string_view name) const { return static_cast<std::uint32_t>(table().find(name)); }
  OptionValues resolve(Settings settings) const {
    std::vector<OptionSetting> all;
    for (const auto& [name, text] : settings) all.push_back({name, text, OptionSource::descriptor, {}});
    std::vector<std::string> problems;
    OptionValues values = OptionValues::resolve(table(), all, problems);
    REQUIRE(problems.empty());
    return values;
  }
  RawListener listen(const std::string& address, Settings settings = {}, Said* said = nullptr) const {
    const OptionValues values = resolve(settings);
    const ferry_values passed = values.abi();
    ferry_listener* out = nullptr;
    ferry_error error{};
    error.struct_size = sizeof(error);
    const ferry_status status = raw_->ops->listen(raw_, address.c_str(), &passed, &out, &error);
    if (said != nullptr) *said = {status, error.message};
    if (said == nullptr) REQUIRE_MESSAGE(status == FERRY_OK, error.message);
    return RawListener(out);
  }
  RawConnection connect(const std::string& address, Settings settings = {}, Said* said = nullptr,
                        std::int64_t deadline = soon(), int cancel_fd = -1) const {
    const OptionValues values = resolve(settings);
    const ferry_values passed = values.abi();
    const ferry_cancel cancel{sizeof(ferry_cancel), 0, cancel_fd};
    ferry_connection* out = nullptr;
    ferry_error error{};
    error.struct_size = sizeof(error);
    const ferry_status status = raw_->ops->connect(raw_, address.c_str(), &passed, deadline, &cancel, &out, &error);
    if (said != nullptr) *said = {status, error.message};
    if (said == nullptr) REQUIRE_MESSAGE(status == FERRY_OK, error.message);
    return RawConnection(out);
  }
  Said check_address(const std::string& address) const {
    ferry_error error{};
    error.struct_size = sizeof(error);
    const ferry_status status = plugin_.check_address(address.c_str(), &error);
    return {status, error.message};
  }
  /// Lines logged at `level` so far.
  int logged(ferry_log_level level) const {
    const std::lock_guard lock(host_.mutex);
    int count = 0;
    for (const ferry_log_level one : host_.levels) count += one == level ? 1 : 0;
    return count;
  }

 private:
  struct Host {
    ferry_host abi{};  // first: the callbacks get back from it to the rest
    mutable std::mutex mutex;
    mutable std::vector<ferry_log_level> levels;
  };
  static void log(const ferry_host* host, ferry_log_level level, const char*) noexcept {
    const auto& self = *reinterpret_cast<const Host*>(host);
    const std::lock_guard lock(self.mutex);
    self.levels.push_back(level);
  }
  static std::int64_t now_ns(const ferry_host*) noexcept { return monotonic_now_ns(); }
  static std::int32_t timeout_ms(const ferry_host*, std::int64_t deadline_ns) noexcept {
    if (deadline_ns == FERRY_FOREVER) return -1;
    const std::int64_t left_ns = deadline_ns - monotonic_now_ns();
    return left_ns <= 0 ? 0 : static_cast<std::int32_t>((left_ns + 999'999) / 1'000'000);
  }
  static const void* get_extension(const ferry_host*, const char*) noexcept { return nullptr; }

  OptionTable table() const { return {plugin_.options, plugin_.option_count, plugin_.option_stride}; }

  const ferry_plugin& plugin_;
  Host host_;
  ferry_transport* raw_ = nullptr;
};

/// Two connected ends over a listener.
struct RawPair {
  RawConnection client;
  RawConnection server;
};
inline RawPair connected_pair(const RawTransport& transport, const RawListener& listener,
                              RawTransport::Settings settings = {}) {
  RawPair pair;
  pair.client = transport.connect(listener.address(), settings);
  Said said;
  pair.server = listener.accept(soon(), &said);
  REQUIRE_MESSAGE(said.status == FERRY_OK, said.message);
  return pair;
}

}  // namespace ferry::test
