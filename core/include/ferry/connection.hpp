// Connections and listeners: the ABI's objects as RAII types, with the core's wait policy and lending emulation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ferry/abi.h"
#include "ferry/deadline.hpp"
#include "ferry/error.hpp"
#include "ferry/wait_policy.hpp"

namespace ferry {

class Plugin;

/// One piece of a gathered write; the bytes stay the caller's.
using ConstBytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

/// Outcome of a data-plane call. `size` counts what was transferred even when status is not ok.
struct [[nodiscard]] IoResult {
  Status status = Status::ok;
  std::size_t size = 0;
  explicit operator bool() const noexcept { return status == Status::ok; }
};

/// A reliable, ordered, bidirectional byte stream (or record stream, see kind()).
/// One reader thread and one writer thread may use it at once; interrupt() is for any thread. Move only.
class Connection {
 public:
  struct Settings {
    WaitPolicy wait;
    std::int64_t linger_ns = 1'000'000'000;   ///< bound of close()
    std::uint64_t max_message = 64u << 20;    ///< bytes; used by Channel
    std::int64_t handshake_ns = 10'000'000'000;  ///< bound of an authkey handshake; used by Channel and services
  };

  Connection() noexcept = default;
  /// Takes ownership of `raw`. `descriptor` is for messages.
  Connection(ferry_connection* raw, const Plugin* plugin, Settings settings, std::string descriptor);
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;
  /// As close(), ignoring its status.
  ~Connection();

  explicit operator bool() const noexcept { return raw_ != nullptr; }

  /// Reads at least one byte (or one record). Blocks until the deadline.
  IoResult read(MutableBytes into, Deadline deadline = Deadline::never());
  /// Reads until `into` is full. On end before that: status end with the bytes read in size.
  IoResult read_exactly(MutableBytes into, Deadline deadline = Deadline::never());
  /// Writes everything unless the status says otherwise. Blocks until the deadline.
  IoResult write(ConstBytes bytes, Deadline deadline = Deadline::never());
  IoResult write(std::span<const ConstBytes> pieces, Deadline deadline = Deadline::never(), bool more = false);
  /// Writes what fits now or within the deadline, at least one byte when ok.
  IoResult write_some(std::span<const ConstBytes> pieces, Deadline deadline = Deadline::never(), bool more = false);

  /// Lends unread bytes in place, at least `minimum`; from the transport's memory where it can, else from a buffer of
  /// the core (allocated on first use, given back when drained). Valid until the next consume or read.
  [[nodiscard]] Status peek(ConstBytes& view, std::size_t minimum = 1, Deadline deadline = Deadline::never());
  void consume(std::size_t size) noexcept;
  /// Lends memory to build bytes in, at least `minimum`; commit publishes. Valid until the next commit or write.
  [[nodiscard]] Status reserve(MutableBytes& view, std::size_t minimum = 1, Deadline deadline = Deadline::never());
  [[nodiscard]] Status commit(std::size_t size, Deadline deadline = Deadline::never());
  /// True when the transport itself lends; otherwise peek and reserve copy once.
  bool lends() const noexcept { return lend_ != nullptr; }

  [[nodiscard]] Status shutdown_write() noexcept;
  void interrupt() noexcept;
  /// Delivers what was written, then ends; bounded by the `linger` option. The connection is empty afterwards.
  Status close() noexcept;
  void abort() noexcept;

  ferry_connection_kind kind() const noexcept { return kind_; }
  ferry_connection_info info() const;
  const Settings& settings() const noexcept { return settings_; }
  const Plugin* plugin() const noexcept { return plugin_; }
  /// What the messages call this connection.
  const std::string& descriptor() const noexcept { return descriptor_; }

  /// The extension's table, or nullptr: `connection.extension<ferry_peer>(FERRY_EXT_PEER)`.
  template <class Table>
  const Table* extension(const char* id) const noexcept {
    return static_cast<const Table*>(extension_table(id));
  }
  /// The transport's object, for extension calls and event loops. Stays owned here.
  ferry_connection* raw() const noexcept { return raw_; }
  /// Gives up ownership: the caller now ends the object's life, with its `close` or `abort`. Empty afterwards.
  [[nodiscard]] ferry_connection* release() noexcept {
    lend_ = nullptr;
    ops_ = nullptr;
    return std::exchange(raw_, nullptr);
  }

 private:
  struct Emulation;
  const void* extension_table(const char* id) const noexcept;

  ferry_connection* raw_ = nullptr;
  const ferry_connection_ops* ops_ = nullptr;
  const ferry_lend* lend_ = nullptr;
  ferry_connection_kind kind_ = FERRY_STREAM;
  Settings settings_;
  WaitPolicy read_wait_;
  WaitPolicy write_wait_;
  std::unique_ptr<Emulation> emulation_;
  const Plugin* plugin_ = nullptr;
  std::string descriptor_;
};

/// Accepts connections at one endpoint. One accepting thread at a time; interrupt() from any. Move only.
class Listener {
 public:
  Listener() noexcept = default;
  Listener(ferry_listener* raw, const Plugin* plugin, Connection::Settings settings, std::string scheme);
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();

  explicit operator bool() const noexcept { return raw_ != nullptr; }
  /// The next client; throws Error (timed_out, interrupted, no_resources, …).
  Connection accept(Deadline deadline = Deadline::never());
  /// As accept without throwing: a status other than ok leaves `out` alone; `error` may be null.
  [[nodiscard]] Status try_accept(Connection& out, Deadline deadline, ferry_error* error = nullptr);
  /// A descriptor a client can dial, port 0 resolved.
  std::string descriptor() const;
  void interrupt() noexcept;
  void close() noexcept;
  ferry_listener* raw() const noexcept { return raw_; }
  const Plugin* plugin() const noexcept { return plugin_; }

 private:
  ferry_listener* raw_ = nullptr;
  const Plugin* plugin_ = nullptr;
  Connection::Settings settings_;
  std::string scheme_;
};

}  // namespace ferry
