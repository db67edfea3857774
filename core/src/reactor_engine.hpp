// A transport's engine that a reactor drives in its turns (ferry.drive/1), for the connections and listeners it has of
// it.
//
// Whoever uses it holds a use. With the last one the engine is given back, at once, because the transport may go with
// the connection that is closed next; the driver itself stays until the end of the turn, in the middle of which it may
// be. An engine that somebody else drives has no driver here: its connections then work like any other's.
#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "ferry/abi.h"
#include "reactor_watch.hpp"

namespace ferry {

class ConnectionDriver;
class ReactorCore;

/// The extension's table when it is there and whole, else null.
const ferry_drive* drive_table_of(ferry_connection& connection) noexcept;
const ferry_drive* drive_table_of(ferry_listener& listener) noexcept;

class EngineDriver {
 public:
  static constexpr std::uint32_t packet_budget = 256;  ///< per turn; others get theirs in between
  static constexpr std::size_t listed_at_once = 64;

  struct EndOfUse {
    void operator()(EngineDriver* driver) const noexcept { driver->end_use(); }
  };
  using Use = std::unique_ptr<EngineDriver, EndOfUse>;

  /// Null when the engine has another driver. Throws Error when libuv cannot wait on its handle.
  static std::unique_ptr<EngineDriver> take(ReactorCore& core, const ferry_drive& table, ferry_engine& engine);
  EngineDriver(const EngineDriver&) = delete;
  EngineDriver& operator=(const EngineDriver&) = delete;
  ~EngineDriver();

  Use use() noexcept { return ++uses_, Use(this); }
  bool is_for(const ferry_engine& engine) const noexcept { return engine_ == &engine; }
  bool is_given() const noexcept { return engine_ == nullptr; }
  void adopt(ConnectionDriver& connection);

  /// Does what is due, and serves the connections that it found ready. True: there were some.
  bool drive();
  /// Drives if it has to, before the loop polls.
  void drive_if_due() {
    if (due_) (void)drive();
  }
  bool is_due() const noexcept { return due_; }
  /// Makes it safe to sleep, or finds that it is due.
  void arm();
  /// The loop is back from its poll.
  void wake() noexcept;

 private:
  struct Timer;
  struct CloseTimer {
    void operator()(Timer* timer) const noexcept;
  };

  EngineDriver(ReactorCore& core, const ferry_drive& table, ferry_engine& engine) noexcept;
  void end_use() noexcept;
  void on_ready();
  void give() noexcept;
  void set_timer(std::int64_t deadline_ns);

  ReactorCore& core_;
  const ferry_drive& table_;
  ferry_engine* engine_;  // null: given back
  Watch::Pointer watch_;
  std::unique_ptr<Timer, CloseTimer> timer_;  // made when the engine first asks for one
  std::int64_t timer_set_to_ = FERRY_FOREVER;
  std::size_t uses_ = 0;
  bool armed_ = false;
  bool due_ = true;  // what happened before it was taken
};

}  // namespace ferry
