// RAII over the raw ABI: each method is the one call of its name, marked for the report, and nothing else. The suite
// tests the contract, so nothing of the core stands between it and the plugin.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "check.hpp"
#include "ferry/abi.h"
#include "ferry/options.hpp"
#include "report.hpp"

namespace ferry::conformance {

/// An error as a caller hands it in.
struct Error : ferry_error {
  Error() noexcept : ferry_error{} { struct_size = sizeof(ferry_error); }
};

class Connection {
 public:
  Connection() noexcept = default;
  explicit Connection(ferry_connection* connection);  ///< checks the table's required members
  Connection(Connection&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)), info_(other.info_) {}
  Connection& operator=(Connection&& other) noexcept;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { close(); }

  ferry_connection* get() const noexcept { return connection_; }
  explicit operator bool() const noexcept { return connection_ != nullptr; }
  bool is_records() const noexcept { return info_.kind == FERRY_RECORDS; }
  /// The largest single write that the suite makes: max_record, or 1 MiB on streams.
  std::size_t chunk() const noexcept;
  const ferry_connection_info& info() const noexcept { return info_; }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline);
  std::int64_t write(const void* data, std::uint64_t size, std::int64_t deadline, std::uint32_t flags = 0);
  std::int64_t write(std::span<const ferry_iovec> pieces, std::int64_t deadline, std::uint32_t flags = 0);
  std::int32_t arm(ferry_interest interest);
  ferry_pollable pollable(ferry_interest interest);
  ferry_status shutdown_write();
  void interrupt();
  ferry_status finish(std::int64_t deadline);
  void close();
  void abort();
  const void* extension(const char* id);
  template <class Table>
  const Table* extension_as(const char* id) {
    return static_cast<const Table*>(extension(id));
  }

 private:
  ferry_connection* connection_ = nullptr;
  ferry_connection_info info_{};
};

class Listener {
 public:
  Listener() noexcept = default;
  explicit Listener(ferry_listener* listener);
  Listener(Listener&& other) noexcept : listener_(std::exchange(other.listener_, nullptr)) {}
  Listener& operator=(Listener&& other) noexcept;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { close(); }

  ferry_listener* get() const noexcept { return listener_; }
  ferry_status accept(std::int64_t deadline, Connection& out, ferry_error* error = nullptr);
  std::int32_t arm();
  ferry_pollable pollable();
  void interrupt();
  std::string local_address();
  void close();

 private:
  ferry_listener* listener_ = nullptr;
};

/// What every Transport made from here on has instead of the plugin's defaults, as NAME=VALUE. Before any thread
/// starts.
void set_transport_options(std::span<const std::string> options);

class Transport {
 public:
  Transport() noexcept = default;
  Transport(const ferry_plugin& plugin, const ferry_host& host);  ///< create; must succeed
  Transport(Transport&& other) noexcept;
  Transport& operator=(Transport&&) = delete;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  ~Transport();

  ferry_transport* get() const noexcept { return transport_; }
  /// The plugin's defaults; a test may change values before it listens or connects.
  OptionValues& options() noexcept { return options_; }
  /// Replaces one option by its name; false when the plugin has none of that name or refuses the value.
  bool set_option(const std::string& name, const std::string& text);

  ferry_status connect(const std::string& address, std::int64_t deadline, Connection& out, ferry_error* error = nullptr,
                       std::int64_t cancel_handle = -1);
  ferry_status listen(const std::string& address, Listener& out, ferry_error* error = nullptr);

 private:
  ferry_transport* transport_ = nullptr;
  OptionTable table_;
  OptionValues options_;
};

/// The plugin's own check of an address.
ferry_status check_address(const ferry_plugin& plugin, const std::string& address, ferry_error* error = nullptr);

OptionTable table_of(const ferry_plugin& plugin) noexcept;

/// Reports an error's text, or fails when a failed cold call gave none.
std::string text_of(const ferry_error& error, ferry_status status, std::string_view call);

}  // namespace ferry::conformance
