// Drives connections from one libuv loop, with callbacks or awaitables.
//
// The data plane stays in the plugin: the reactor tries an operation, arms, and polls the plugin's handle. Everything
// here belongs to the loop's thread except post() and stop(), which are for any thread, and nothing blocks but run(). A
// handler may close, abort or add anything but not destroy the reactor; what it throws is logged, and aborts the
// connection it was called for with status internal. See docs/guides/reactor.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ferry/connection.hpp"
#include "ferry/runtime.hpp"

struct uv_loop_s;

namespace ferry {

class Reactor;
class ReactorCore;

/// Finite limits of one connection in a reactor; all in bytes unless said.
struct ReactorLimits {
  /// Above it write() returns false, and reading of a paired side should pause. Small enough that what is queued is
  /// still in the processor's cache when it leaves.
  std::size_t write_high_watermark = 256u << 10;
  std::size_t write_low_watermark = 64u << 10;  ///< on_writable fires when the queue falls to it
  std::size_t read_budget = 256u << 10;         ///< read from one connection per loop turn, for fairness
  std::uint32_t accept_budget = 16;             ///< connections accepted per listener and turn
};

/// Bytes that `owner` keeps alive and nobody changes: a message that several connections, or a queue, refer to.
struct SharedBytes {
  ConstBytes bytes;
  std::shared_ptr<const void> owner;
};

/// A connection owned by a reactor. Loop thread only. Kept alive by the reactor until it is closed; user code holds
/// std::weak_ptr or std::shared_ptr as it likes.
class ReactorConnection : public std::enable_shared_from_this<ReactorConnection> {
 public:
  struct Handlers {
    /// Bytes that arrived (framing bytes). The view is valid during the call.
    std::function<void(ReactorConnection&, ConstBytes)> on_bytes;
    /// One message (framing messages), valid during the call. Set exactly one of on_bytes and on_message.
    std::function<void(ReactorConnection&, ConstBytes)> on_message;
    /// The peer ended its direction; by default (empty) the connection closes gracefully.
    std::function<void(ReactorConnection&)> on_end;
    /// The write queue fell to the low watermark after write() had returned false.
    std::function<void(ReactorConnection&)> on_writable;
    /// Last call: ok after a graceful close, else why. Nothing is called for this connection afterwards.
    std::function<void(ReactorConnection&, Status)> on_closed;
  };
  virtual ~ReactorConnection();

  /// Queues bytes, copied; they leave at the end of this loop turn in one write. False: above the high watermark (the
  /// bytes are queued all the same) - pause until on_writable.
  virtual bool write(ConstBytes bytes) = 0;
  /// Queues one framed message (or record). Same contract. Throws Error(too_large) for a record above the transport's
  /// limit. Once writing has ended - shutdown_write(), close(), a failure - both return false and queue nothing.
  virtual bool send(ConstBytes message) = 0;
  /// As send(), without a copy of a message of 64 KiB or more: the queue refers to it and holds its owner until the
  /// last byte has left or the connection has ended. Smaller ones, and records, are copied.
  virtual bool send(const SharedBytes& message) = 0;
  /// Stops and resumes reading: back-pressure towards the peer.
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;
  /// Ends our direction once the queue has left. Throws Error(unsupported) where the transport has no half-close.
  virtual void shutdown_write() = 0;
  /// Graceful: the queue leaves, the end reaches the peer, bounded by `linger`; then on_closed.
  virtual void close() = 0;
  /// At once: the peer sees a reset where the transport has one; on_closed(reason) follows at the end of the turn.
  virtual void abort(Status reason) = 0;
  /// Bytes that write() and send() have queued and the transport has not taken.
  virtual std::size_t queued_bytes() const noexcept = 0;
  /// Stays owned by the reactor; nobody else reads or writes it.
  virtual Connection& connection() noexcept = 0;
  virtual Reactor& reactor() noexcept = 0;
};

/// A listener owned by a reactor.
class ReactorListener {
 public:
  virtual ~ReactorListener();
  /// A descriptor a client can dial, port 0 resolved.
  virtual std::string descriptor() const = 0;
  /// Stops and resumes accepting; meanwhile clients wait in the transport's backlog.
  virtual void pause_accepting() = 0;
  virtual void resume_accepting() = 0;
  /// Stops accepting and frees the address; accepted connections live on.
  virtual void close() = 0;
};

/// A timer or pending connect that can be cancelled; destroying it cancels.
class ReactorHandle {
 public:
  virtual ~ReactorHandle();
  /// The task or `done` is not called any more. Idempotent.
  virtual void cancel() noexcept = 0;
};

class Reactor {
 public:
  /// With a loop of its own.
  Reactor();
  /// On the application's loop, which must outlive the reactor; the application runs it.
  explicit Reactor(uv_loop_s* loop);
  /// Aborts what is left, with on_closed(interrupted), cancels connects and timers without a call, and closes every
  /// libuv handle; on an application's loop the loop must run once more after. What handlers refer to must outlive it.
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  /// Runs until stop(), or until nothing is left to wait for: no connection that reads or has bytes to write, no
  /// listener, connect or timer. A stop() that came before makes it return at once.
  void run();
  /// Ends run(), or the application's uv_run, after the turn under way. Any thread, until the destructor begins.
  void stop() noexcept;
  /// Runs `task` on the loop's thread, soon and in order. Does not keep the loop running. Tasks left when the reactor
  /// is destroyed are dropped. Any thread, until the destructor begins.
  void post(std::function<void()> task);

  /// Accepts clients until the listener is closed. `on_error` (by default a log line) hears of failures: of one client,
  /// after which the next is accepted; of the system's resources, after which accepting pauses 100 ms; or of the
  /// listener itself, which is then closed. Throws Error when the transport has nothing to wait on.
  std::shared_ptr<ReactorListener> listen(Listener listener, std::function<void(Connection)> on_accept,
                                          std::function<void(const ferry_error&)> on_error = {},
                                          ReactorLimits limits = {});
  /// Takes over a connection that nobody else reads or writes. Throws Error(invalid) unless exactly one of on_bytes and
  /// on_message is set, Error when the transport has nothing to wait on, Error(closed) while the reactor is destroyed.
  std::shared_ptr<ReactorConnection> add(Connection connection, ReactorConnection::Handlers handlers,
                                         ReactorLimits limits = {});
  /// Connects without blocking the loop; the result arrives in `done` exactly once, later, unless cancelled. `runtime`
  /// outlives the reactor. At most 32 connects run at once, to one target half of what no other target uses; further
  /// ones queue.
  std::unique_ptr<ReactorHandle> connect(Runtime& runtime, std::string link_or_descriptor, Deadline deadline,
                                         std::function<void(Connection, const Error*)> done);
  /// Runs `task` once, not before `when`, at millisecond resolution.
  std::unique_ptr<ReactorHandle> call_at(Deadline when, std::function<void()> task);

  /// The loop that it runs on; its own one ends with it.
  uv_loop_s* loop() noexcept;

 private:
  std::shared_ptr<ReactorCore> core_;
};

}  // namespace ferry
