// Runs a reactor until it is told to end: the first signal to end (SIGTERM or SIGINT) drains, a second one ends at
// once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "daemon_signals.hpp"
#include "ferry/reactor.hpp"

struct uv_signal_s;

namespace ferry::host {

inline constexpr std::int64_t default_drain_ns = 10'000'000'000;

class Daemon {
 public:
  struct Hooks {
    std::function<void()> stop_accepting;
    std::function<std::size_t()> live;  ///< connections that a drain waits for
    std::function<void()> cut;          ///< resets them
    std::function<void()> reload;       ///< SIGHUP, on Windows SIGBREAK; empty: left to the system
  };

  /// Takes the signals over at once. `reactor` outlives it.
  Daemon(Reactor& reactor, std::int64_t drain_ns, Hooks hooks);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon();

  /// Returns once drained, or cut.
  void run();
  /// Stops accepting and ends once everybody has left, however long it takes.
  void drain_without_bound();
  /// To be called each time a connection is gone.
  void departed();

 private:
  struct SignalDeleter {
    void operator()(uv_signal_s* handle) const noexcept;  // libuv frees it in its close callback
  };
  using Signal = std::unique_ptr<uv_signal_s, SignalDeleter>;

  void watch(int number);
  void on_signal(int number);
  void drain();
  void end_now();

  const DaemonSignals known_ = daemon_signals();
  Reactor& reactor_;
  std::int64_t drain_ns_;
  Hooks hooks_;
  std::vector<Signal> signals_;
  std::unique_ptr<ReactorHandle> drain_timer_;
  bool draining_ = false;  // ends when the last connection does
  bool told_ = false;      // by a signal
};

}  // namespace ferry::host
