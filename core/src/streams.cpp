#include "ferry/streams.hpp"

#include <string>
#include <utility>

#include "ferry/registry.hpp"
#include "plugin_call.hpp"

namespace ferry {
namespace {

template <class Table>
const Table& required(const Connection& connection, const char* id, const char* operation, const char* what) {
  if (const Table* table = connection.extension<Table>(id)) return *table;
  throw Error(Status::unsupported, operation, connection.descriptor(), std::string("this transport has no ") + what);
}

const ferry_streams& streams_of(const Connection& connection, const char* operation) {
  return required<ferry_streams>(connection, FERRY_EXT_STREAMS, operation, "further streams");
}

std::string scheme_of(const Connection& connection) {
  return connection.plugin() != nullptr ? connection.plugin()->abi().schemes[0] : "stream";
}

}  // namespace

bool has_streams(const Connection& connection) noexcept {
  return connection.extension<ferry_streams>(FERRY_EXT_STREAMS) != nullptr;
}

Connection open_stream(Connection& connection, Deadline deadline) {
  const ferry_streams& streams = streams_of(connection, "open stream");
  ferry_connection* raw = nullptr;
  checked_call("open stream", connection.descriptor(),
               [&](ferry_error* error) { return streams.open(connection.raw(), deadline.ns(), &raw, error); });
  return Connection(raw, connection.plugin(), connection.settings(), connection.descriptor());
}

Listener listen_for_streams(Connection& connection) {
  const ferry_streams& streams = streams_of(connection, "listen for streams");
  ferry_listener* raw = nullptr;
  checked_call("listen for streams", connection.descriptor(),
               [&](ferry_error* error) { return streams.listen(connection.raw(), &raw, error); });
  return Listener(raw, connection.plugin(), connection.settings(), scheme_of(connection));
}

Status reset_stream(Connection& connection, std::uint64_t code) {
  return static_cast<Status>(streams_of(connection, "reset stream").reset(connection.raw(), code));
}

Status stop_stream(Connection& connection, std::uint64_t code) {
  return static_cast<Status>(streams_of(connection, "stop stream").stop(connection.raw(), code));
}

std::optional<std::uint64_t> peer_code(const Connection& connection, ferry_interest direction) noexcept {
  const auto* streams = connection.extension<ferry_streams>(FERRY_EXT_STREAMS);
  if (streams == nullptr) return std::nullopt;
  const std::int64_t code = streams->code(connection.raw(), direction);
  if (code < 0) return std::nullopt;
  return static_cast<std::uint64_t>(code);
}

Connection open_datagrams(Connection& connection) {
  const auto& datagrams = required<ferry_datagrams>(connection, FERRY_EXT_DATAGRAMS, "open datagrams", "datagrams");
  ferry_connection* raw = nullptr;
  checked_call("open datagrams", connection.descriptor(),
               [&](ferry_error* error) { return datagrams.open(connection.raw(), &raw, error); });
  return Connection(raw, connection.plugin(), connection.settings(), connection.descriptor());
}

std::uint64_t max_datagram(const Connection& connection) noexcept {
  const auto* datagrams = connection.extension<ferry_datagrams>(FERRY_EXT_DATAGRAMS);
  return datagrams == nullptr ? 0 : datagrams->max_size(connection.raw());
}

}  // namespace ferry
