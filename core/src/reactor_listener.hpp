// One listener in a reactor.
//
// Without a free descriptor the kernel reports the listener as readable for ever while accept fails; so it is left
// alone for a while, instead of turning the loop as fast as it goes.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <string>

#include "ferry/reactor.hpp"
#include "reactor_core.hpp"
#include "reactor_timer.hpp"
#include "reactor_watch.hpp"

namespace ferry {

class ListenerDriver final : public ReactorListener, public std::enable_shared_from_this<ListenerDriver> {
 public:
  static constexpr std::int64_t resource_pause_ns = 100'000'000;  ///< after accept found no descriptor or memory

  using OnAccept = std::function<void(Connection)>;
  using OnError = std::function<void(const ferry_error&)>;

  ListenerDriver(ReactorCore& core, Listener listener, OnAccept on_accept, OnError on_error, std::uint32_t budget);
  void start();

  std::string descriptor() const override { return descriptor_; }
  void pause_accepting() override { paused_ = true; }
  void resume_accepting() override;
  void close() override;

  // ---- for the core
  void accept_turn();

 private:
  void on_ready();
  /// False: no more in this turn.
  bool accept_one();
  void schedule();
  void on_failure(Status status, const ferry_error& error);
  void pause();

  ReactorCore& core_;
  Listener listener_;
  std::string descriptor_;
  OnAccept on_accept_;
  OnError on_error_;
  std::uint32_t budget_;
  int events_ = 0;
  Watch::Pointer watch_;
  EngineDriver::Use engine_;  // null: the transport has none, or somebody else drives it
  std::unique_ptr<ReactorHandle> pause_;
  bool scheduled_ = false;
  bool paused_ = false;  // by the user
};

}  // namespace ferry
