// Connections and listeners: the ABI's objects as RAII types, with the core's wait policy and lending emulation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ferry/abi.h"
#include "ferry/deadline.hpp"
#include "ferry/error.hpp"
#include "ferry/wait_policy.hpp"

namespace ferry {

class Plugin;

/// One piece of a gathered write; the bytes stay the caller's.
using ConstBytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

/// Memory of malloc.
struct FreeMemory {
  void operator()(std::byte* memory) const noexcept;
};
using Memory = std::unique_ptr<std::byte[], FreeMemory>;

/// Outcome of a data-plane call. `size` counts what was transferred even when status is not ok.
struct [[nodiscard]] IoResult {
  Status status = Status::ok;
  std::size_t size = 0;
  explicit operator bool() const noexcept { return status == Status::ok; }
};

/// A reliable, ordered, bidirectional byte stream (or record stream, see kind()).
/// One reader thread and one writer thread may use it at once; interrupt() is for any thread. Move only.
/// Calls other than destruction, assignment, close, abort and operator bool need a connection that is not empty.
class Connection {
 public:
  struct Settings {
    WaitPolicy wait;
    std::int64_t linger_ns = 1'000'000'000;      ///< bound of close()
    std::uint64_t max_message = 64u << 20;       ///< bytes; used by Channel
    std::int64_t handshake_ns = 10'000'000'000;  ///< bound of an authkey handshake; used by Channel and services
  };

  Connection() noexcept = default;
  /// Takes ownership of `raw`, also when it throws Error(internal) because what the plugin made breaks the ABI.
  /// `plugin` may be null. `descriptor` is for messages.
  Connection(ferry_connection* raw, const Plugin* plugin, Settings settings, std::string descriptor);
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;
  /// As close(), ignoring its status.
  ~Connection();

  explicit operator bool() const noexcept { return raw_ != nullptr; }

  /// Reads at least one byte (or one record, or too_large where it does not fit). Statuses of the ABI's read: end once
  /// the peer has ended and all it sent was read, reset, would_block, timed_out, interrupted, protocol, io. Blocks
  /// until the deadline. [reader]
  IoResult read(MutableBytes into, Deadline deadline = Deadline::never()) {
    if (peeked_.begin != peeked_.end) [[unlikely]]
      return read_peeked(into);
    return to_result(read_once(into.data(), into.size(), deadline.ns()));
  }
  /// Reads until `into` is full. On end before that: status end with the bytes read in size. [reader]
  IoResult read_exactly(MutableBytes into, Deadline deadline = Deadline::never());

  /// Writes everything unless the status says otherwise; `size` then counts what the transport has taken. Statuses of
  /// the ABI's write: reset, closed, would_block, timed_out, interrupted, too_large, no_resources, io. Blocks until the
  /// deadline. [writer]
  IoResult write(ConstBytes bytes, Deadline deadline = Deadline::never()) {
    const ferry_iovec piece{bytes.data(), bytes.size()};
    const std::int64_t count = write_once(&piece, 1, 0, deadline.ns());
    if (count == static_cast<std::int64_t>(bytes.size())) [[likely]]
      return {Status::ok, bytes.size()};
    return write_rest(bytes, count, deadline);
  }
  /// The same from many pieces; `more`: more follows at once, the transport may hold back. [writer]
  IoResult write(std::span<const ConstBytes> pieces, Deadline deadline = Deadline::never(), bool more = false);
  /// Writes what fits now or within the deadline, at least one byte when ok. [writer]
  IoResult write_some(std::span<const ConstBytes> pieces, Deadline deadline = Deadline::never(), bool more = false);

  /// Lends unread bytes in place, at least `minimum`, as many as there are; from the transport's memory where it can,
  /// else from a buffer of the core (allocated on first use, given back when drained). Valid until the next consume or
  /// read. With fewer than `minimum` bytes before the end: status end, and a smaller minimum gets them. Emulated, a
  /// minimum above max_lent is too_large. A record transport lends one record. Blocks until the deadline. [reader]
  [[nodiscard]] Status peek(ConstBytes& view, std::size_t minimum = 1, Deadline deadline = Deadline::never()) {
    const void* data = nullptr;
    std::uint64_t size = 0;
    ferry_status status = FERRY_OK;
    if (lend_ != nullptr) {
      const bool sleeps = deadline.ns() == FERRY_NO_WAIT || read_wait_.sleeps_at_once();
      status = lend_->peek(raw_, minimum, &data, &size, sleeps ? deadline.ns() : FERRY_NO_WAIT);
      if (status == FERRY_WOULD_BLOCK && !sleeps) status = wait_to_peek(minimum, data, size, deadline.ns());
    } else {
      status = peek_emulated(minimum, data, size, deadline.ns());
    }
    if (status == FERRY_OK) view = {static_cast<const std::byte*>(data), size};
    return static_cast<Status>(status);
  }
  /// Gives back the first `size` bytes of the view. [reader]
  void consume(std::size_t size) noexcept { lend_ != nullptr ? lend_->consume(raw_, size) : consume_emulated(size); }
  /// Lends memory to build bytes in, at least `minimum`. Valid until the next commit or write. [writer]
  [[nodiscard]] Status reserve(MutableBytes& view, std::size_t minimum = 1, Deadline deadline = Deadline::never()) {
    if (minimum - 1 >= static_cast<std::size_t>(room_end_ - room_at_)) return reserve_anew(view, minimum, deadline);
    view = {room_at_, room_end_};
    return Status::ok;
  }
  /// Publishes the first `size` bytes of the view; 0 gives it back unused. After a failure of the emulation part of the
  /// bytes may have been written. [writer]
  [[nodiscard]] Status commit(std::size_t size, Deadline deadline = Deadline::never()) {
    return publish_ != nullptr ? publish(room_at_, size) : commit_otherwise(size, deadline);
  }
  /// True when the transport itself lends; otherwise peek and reserve copy once.
  bool lends() const noexcept { return lend_ != nullptr; }
  /// True while bytes that an emulated peek has taken from the transport wait for a read or consume: a plugin's
  /// extension would miss them. [reader]
  bool holds_unread() const noexcept { return peeked_.begin != peeked_.end; }
  static constexpr std::size_t max_lent = std::size_t{16} << 20;

  /// False: the transport has no half-close, an end is that of the whole connection. [any-thread]
  bool half_closes() const noexcept { return FERRY_HAS(ops_, ferry_connection_ops, shutdown_write); }
  /// Ends our direction; unsupported where the transport cannot. [writer]
  [[nodiscard]] Status shutdown_write() noexcept;
  /// Every blocked and later call that would wait returns interrupted. [any-thread]
  void interrupt() noexcept { ops_->interrupt(raw_); }
  /// Delivers what was written, then ends; bounded by the `linger` option. Ok: every byte is with the peer's system.
  /// The connection is empty afterwards. Closing an empty connection is ok. [owner]
  Status close() noexcept;
  /// Ends at once; the peer sees a reset where the transport has one. [owner]
  void abort() noexcept;

  /// FERRY_STREAM or FERRY_RECORDS. [any-thread]
  ferry_connection_kind kind() const noexcept { return kind_; }
  /// Kind, limits and addresses. Throws Error where the plugin cannot say. [any-thread]
  ferry_connection_info info() const;
  const Settings& settings() const noexcept { return settings_; }
  /// Null where the connection was made without one.
  const Plugin* plugin() const noexcept { return plugin_; }
  /// What the messages call this connection.
  const std::string& descriptor() const noexcept { return descriptor_; }

  /// The extension's table, or nullptr: `connection.extension<ferry_peer>(FERRY_EXT_PEER)`.
  template <class Table>
  const Table* extension(const char* id) const noexcept {
    return static_cast<const Table*>(extension_table(id));
  }
  /// The transport's object, which stays owned here. Who writes through it must not reserve, commit or send beside it.
  ferry_connection* raw() const noexcept { return raw_; }
  /// Gives up ownership: the caller now ends the object's life, with its `close` or `abort`. Empty afterwards. [owner]
  [[nodiscard]] ferry_connection* release() noexcept;

 private:
  friend class Listener;
  friend class MessageSender;
  /// Memory of the lending emulation; see lend_emulation.cpp.
  struct LentBuffer {
    Memory memory;
    std::size_t capacity = 0;
    std::size_t begin = 0;
    std::size_t end = 0;
    void release() noexcept;
  };

  static IoResult to_result(std::int64_t count) noexcept {
    if (count >= 0) [[likely]]
      return {Status::ok, static_cast<std::size_t>(count)};
    return {static_cast<Status>(count), 0};
  }
  std::int64_t read_once(void* data, std::size_t size, std::int64_t deadline_ns) {
    if (deadline_ns == FERRY_NO_WAIT || read_wait_.sleeps_at_once()) return ops_->read(raw_, data, size, deadline_ns);
    const std::int64_t count = ops_->read(raw_, data, size, FERRY_NO_WAIT);
    return count != FERRY_WOULD_BLOCK ? count : wait_to_read(data, size, deadline_ns);
  }
  std::int64_t write_once(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                          std::int64_t deadline_ns) {
    forget_room();
    if (deadline_ns == FERRY_NO_WAIT || write_wait_.sleeps_at_once()) {
      return ops_->write(raw_, pieces, count, flags, deadline_ns);
    }
    const std::int64_t written = ops_->write(raw_, pieces, count, flags, FERRY_NO_WAIT);
    return written != FERRY_WOULD_BLOCK ? written : wait_to_write(pieces, count, flags, deadline_ns);
  }
  std::int64_t wait_to_read(void* data, std::size_t size, std::int64_t deadline_ns);
  std::int64_t wait_to_write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                             std::int64_t deadline_ns);
  IoResult read_peeked(MutableBytes into) noexcept;
  IoResult write_rest(ConstBytes bytes, std::int64_t count, Deadline deadline);
  IoResult write_record(std::span<const ConstBytes> pieces, Deadline deadline, bool more);
  ferry_status wait_to_peek(std::size_t minimum, const void*& data, std::uint64_t& size, std::int64_t deadline_ns);
  ferry_status wait_to_reserve(std::size_t minimum, void*& data, std::uint64_t& size, std::int64_t deadline_ns);
  void consume_emulated(std::size_t size) noexcept;
  ferry_status peek_emulated(std::size_t minimum, const void*& data, std::uint64_t& size, std::int64_t deadline_ns);
  Status reserve_anew(MutableBytes& view, std::size_t minimum, Deadline deadline);
  Status commit_otherwise(std::size_t size, Deadline deadline);
  /// True: ample_room_bytes and more are still lent, from room_at_ on, so that publish may follow as after a reserve.
  bool has_ample_room() const noexcept { return room_at_ < ample_until_; }
  /// As commit, of bytes at `room`, which is room_at_.
  Status publish(std::byte* room, std::size_t size) {
    room_at_ = room + size;
    return static_cast<Status>(publish_(raw_, size));
  }
  void forget_room() noexcept { room_at_ = room_end_ = ample_until_ = nullptr; }
  Status reserve_emulated(MutableBytes& view, std::size_t minimum);
  Status commit_emulated(std::size_t size, Deadline deadline);
  const void* extension_table(const char* id) const noexcept;

  ferry_connection* raw_ = nullptr;
  const ferry_connection_ops* ops_ = nullptr;
  const ferry_lend* lend_ = nullptr;
  ferry_connection_kind kind_ = FERRY_STREAM;
  // What the reader changes and what the writer changes stand apart, so that they share no cache line.
  WaitPolicy read_wait_;
  LentBuffer peeked_;
  Settings settings_;
  std::uint64_t max_record_ = 0;
  const Plugin* plugin_ = nullptr;
  std::string descriptor_;
  WaitPolicy write_wait_;
  LentBuffer reserved_;
  ferry_status(FERRY_CALL* publish_)(ferry_connection*, std::uint64_t) = nullptr;  // of lend_
  // What is lent to us for writing, and stays so after a commit where the transport has `publish`.
  std::byte* room_at_ = nullptr;
  std::byte* room_end_ = nullptr;
  static constexpr std::size_t ample_room_bytes = 4096;
  std::byte* ample_until_ = nullptr;  // ample_room_bytes before room_end_, or null
};

/// Whether an accept that failed so failed for one client alone: refused, given up or out of order. The next one may be
/// taken at once.
bool is_of_one_client(Status accept_status) noexcept;

/// Accepts connections at one endpoint. One accepting thread at a time; interrupt() from any. Move only.
class Listener {
 public:
  Listener() noexcept = default;
  /// Takes ownership of `raw`, also when it throws Error(internal) as for a connection. `scheme` is the canonical one,
  /// for descriptors.
  Listener(ferry_listener* raw, const Plugin* plugin, Connection::Settings settings, std::string scheme);
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();

  explicit operator bool() const noexcept { return raw_ != nullptr; }
  /// The next client; throws Error (timed_out, interrupted, no_resources, …). [acceptor]
  Connection accept(Deadline deadline = Deadline::never());
  /// As accept without throwing Error: a status other than ok leaves `out` alone; `error` may be null. [acceptor]
  [[nodiscard]] Status try_accept(Connection& out, Deadline deadline, ferry_error* error = nullptr);
  /// A descriptor a client can dial, port 0 resolved. [any-thread]
  std::string descriptor() const;
  /// Every blocked and later accept that would wait returns interrupted. [any-thread]
  void interrupt() noexcept;
  /// Stops listening; accepted connections live on. The listener is empty afterwards. [owner]
  void close() noexcept;
  /// The transport's object, for event loops. Stays owned here.
  ferry_listener* raw() const noexcept { return raw_; }
  const Plugin* plugin() const noexcept { return plugin_; }
  const Connection::Settings& settings() const noexcept { return settings_; }

 private:
  ferry_listener* raw_ = nullptr;
  const Plugin* plugin_ = nullptr;
  Connection::Settings settings_;
  std::string scheme_;
};

}  // namespace ferry
