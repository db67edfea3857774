#include "quic_drive.hpp"

#include "quic_connection.hpp"
#include "quic_listener.hpp"

namespace ferry::quic {
namespace {

ferry_engine* abi_of(Engine& engine) noexcept { return reinterpret_cast<ferry_engine*>(&engine); }
Engine& from(ferry_engine* engine) noexcept { return *reinterpret_cast<Engine*>(engine); }

}  // namespace

constinit const ferry_drive drive_table = {
    sizeof(ferry_drive),
    0,
    [](ferry_connection* connection) noexcept { return abi_of(QuicConnection::from(connection).engine()); },
    [](ferry_listener* listener) noexcept { return abi_of(QuicListener::from(listener).engine()); },
    [](ferry_engine* engine, ferry_pollable* out) noexcept {
      *out = {};
      return from(engine).take(*out);
    },
    [](ferry_engine* engine, ferry_connection* connection, std::uint64_t token) noexcept {
      from(engine).adopt(QuicConnection::from(connection).stream(), token);
    },
    [](ferry_engine* engine, std::uint32_t budget, ferry_driven* driven, std::uint32_t capacity) noexcept {
      return from(engine).drive(budget, {driven, capacity});
    },
    [](ferry_engine* engine, std::int64_t* deadline_ns) noexcept -> std::int32_t {
      *deadline_ns = FERRY_FOREVER;  // the pollable holds a timer
      return from(engine).arm();
    },
    [](ferry_engine* engine) noexcept { from(engine).give(); }};

}  // namespace ferry::quic
