// What a coroutine on a reactor's loop can wait for: messages, room to send, clients, connects, time.
//
//   Task<> echo(AsyncChannel channel) {
//     while (auto message = co_await channel.receive()) co_await channel.send(*message);
//     co_await channel.close();
//   }
//
// Loop thread only. Failures are thrown as Error. A coroutine that is destroyed while it waits no longer does; cancel()
// makes what waits throw Error(interrupted) in a later turn, and so does the end of the reactor.
#pragma once

#include <coroutine>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ferry/reactor.hpp"
#include "ferry/task.hpp"

namespace ferry {

/// A connection with message framing. Move only; destroying it closes gracefully. One receive and one send at a time.
class AsyncChannel {
  struct State;

 public:
  AsyncChannel(Reactor& reactor, Connection connection, ReactorLimits limits = {});
  AsyncChannel(AsyncChannel&&) noexcept = default;
  AsyncChannel& operator=(AsyncChannel&& other) noexcept;
  ~AsyncChannel();

  class [[nodiscard]] Receive {
   public:
    ~Receive();
    Receive(const Receive&) = delete;
    Receive& operator=(const Receive&) = delete;
    bool await_ready() const noexcept;
    void await_suspend(std::coroutine_handle<> waiting);
    std::optional<std::vector<std::byte>> await_resume();

   private:
    friend AsyncChannel;
    explicit Receive(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
    std::coroutine_handle<> waiting_;
    std::optional<std::vector<std::byte>> message_;
    bool cancelled_ = false;
  };

  class [[nodiscard]] Send {
   public:
    ~Send();
    Send(const Send&) = delete;
    Send& operator=(const Send&) = delete;
    bool await_ready();
    void await_suspend(std::coroutine_handle<> waiting) noexcept;
    void await_resume() const;

   private:
    friend AsyncChannel;
    Send(std::shared_ptr<State> state, ConstBytes message) noexcept : state_(std::move(state)), message_(message) {}
    std::shared_ptr<State> state_;
    ConstBytes message_;
    std::coroutine_handle<> waiting_;
    bool cancelled_ = false;
  };

  class [[nodiscard]] Close {
   public:
    ~Close();
    Close(const Close&) = delete;
    Close& operator=(const Close&) = delete;
    bool await_ready() const noexcept;
    void await_suspend(std::coroutine_handle<> waiting) noexcept;
    Status await_resume() const;

   private:
    friend AsyncChannel;
    explicit Close(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
    std::coroutine_handle<> waiting_;
    bool cancelled_ = false;
  };

  /// The next message; nothing once the peer has ended. The peer is read from only while somebody waits here.
  Receive receive() noexcept { return Receive(state_); }
  /// Queues a copy, and waits while more than the high watermark is queued. `message` stays the caller's until then.
  Send send(ConstBytes message) noexcept { return Send(state_, message); }
  /// Ends our direction once the queue has left.
  void shutdown_write();
  /// Graceful; gives ok, or why it was not. Bounded by the connection's linger.
  Close close() noexcept;
  void abort();
  /// What waits throws Error(interrupted) in a later turn; the channel stays usable.
  void cancel();

 private:
  std::shared_ptr<State> state_;
};

/// Clients one by one; none is accepted while nobody waits. Move only.
class AsyncListener {
  struct State;

 public:
  AsyncListener(Reactor& reactor, Listener listener);
  AsyncListener(AsyncListener&&) noexcept = default;
  AsyncListener& operator=(AsyncListener&& other) noexcept;
  ~AsyncListener();

  class [[nodiscard]] Accept {
   public:
    ~Accept();
    Accept(const Accept&) = delete;
    Accept& operator=(const Accept&) = delete;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting);
    Connection await_resume();

   private:
    friend AsyncListener;
    explicit Accept(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
    std::coroutine_handle<> waiting_;
    Connection connection_;
  };

  /// The next client. Failures of single clients are logged and passed over.
  Accept accept() noexcept { return Accept(state_); }
  std::string descriptor() const;
  /// What waits throws Error(interrupted) in a later turn; the listener stays usable.
  void cancel();

 private:
  std::shared_ptr<State> state_;
};

/// Waits until `when`, at millisecond resolution, never less. Throws Error(closed) when the reactor is being destroyed.
class [[nodiscard]] AsyncSleep {
 public:
  AsyncSleep(Reactor& reactor, Deadline when) noexcept : reactor_(reactor), when_(when) {}
  AsyncSleep(const AsyncSleep&) = delete;
  AsyncSleep& operator=(const AsyncSleep&) = delete;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    timer_ = reactor_.call_at(when_, [waiting] { waiting.resume(); });
  }
  void await_resume() const noexcept {}

 private:
  Reactor& reactor_;
  Deadline when_;
  std::unique_ptr<ReactorHandle> timer_;
};
inline AsyncSleep async_sleep(Reactor& reactor, Deadline when) noexcept { return AsyncSleep(reactor, when); }

/// Connects as Reactor::connect does; gives the connection.
class [[nodiscard]] AsyncConnect {
 public:
  AsyncConnect(Reactor& reactor, Runtime& runtime, std::string target, Deadline deadline) noexcept
      : reactor_(reactor), runtime_(runtime), target_(std::move(target)), deadline_(deadline) {}
  AsyncConnect(const AsyncConnect&) = delete;
  AsyncConnect& operator=(const AsyncConnect&) = delete;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting);
  Connection await_resume();

 private:
  Reactor& reactor_;
  Runtime& runtime_;
  std::string target_;
  Deadline deadline_;
  std::unique_ptr<ReactorHandle> pending_;
  Connection connection_;
  std::optional<Error> error_;
};
inline AsyncConnect async_connect(Reactor& reactor, Runtime& runtime, std::string link_or_descriptor,
                                  Deadline deadline = Deadline::never()) noexcept {
  return AsyncConnect(reactor, runtime, std::move(link_or_descriptor), deadline);
}

}  // namespace ferry
