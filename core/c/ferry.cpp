// The C API over the C++ one: no exception leaves it.
#include "ferry/ferry.h"

#include <chrono>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ferry/plugin.hpp"
#include "ferry/runtime.hpp"

struct ferry_runtime {
  ferry::Runtime runtime;
};
struct ferry_server {
  ferry::Listener listener;
  std::string descriptor;
};
struct ferry_channel {
  ferry::Channel channel;
};
struct ferry_stream {
  ferry::Connection connection;
};

namespace {

using ferry::Deadline;
using ferry::Status;
using ferry::plugin::fail;

/// Runs `call` and turns what it throws into a status and a text.
template <class Call>
ferry_status guarded(ferry_error* error, Call&& call) noexcept {
  try {
    call();
    return FERRY_OK;
  } catch (const ferry::Error& failure) {
    return fail(error, static_cast<ferry_status>(failure.status()), failure.what(), failure.os_error());
  } catch (const std::bad_alloc&) {
    return fail(error, FERRY_NO_RESOURCES, "out of memory");
  } catch (const std::exception& failure) {
    return fail(error, FERRY_INTERNAL, failure.what());
  }
}

/// As guarded, for a call that gives its status.
template <class Call>
ferry_status status_of(Call&& call) noexcept {
  Status status = Status::ok;
  const ferry_status thrown = guarded(nullptr, [&] { status = call(); });
  return thrown != FERRY_OK ? thrown : static_cast<ferry_status>(status);
}

ferry::ConstBytes bytes(const void* data, std::uint64_t size) noexcept {
  return {static_cast<const std::byte*>(data), static_cast<std::size_t>(size)};
}

std::string_view text(const void* data, std::uint64_t size) noexcept {
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

}  // namespace

int64_t ferry_deadline_after(int64_t ns) { return Deadline(std::chrono::nanoseconds(ns)).ns(); }

const char* ferry_status_text(ferry_status status) { return ferry::describe(static_cast<Status>(status)).data(); }

ferry_status ferry_runtime_load(const char* config_file, ferry_runtime** out, ferry_error* error) {
  return guarded(error, [&] {
    *out = new ferry_runtime{config_file == nullptr ? ferry::Runtime() : ferry::Runtime::load(config_file)};
  });
}

void ferry_runtime_free(ferry_runtime* runtime) { delete runtime; }

ferry_status ferry_connect(ferry_runtime* runtime, const char* link_or_descriptor, ferry_channel** out,
                           ferry_error* error) {
  return guarded(error, [&] { *out = new ferry_channel{runtime->runtime.connect(link_or_descriptor)}; });
}

ferry_status ferry_connect_stream(ferry_runtime* runtime, const char* link_or_descriptor, int64_t deadline_ns,
                                  ferry_stream** out, ferry_error* error) {
  return guarded(error, [&] {
    *out = new ferry_stream{runtime->runtime.connect_stream(link_or_descriptor, Deadline::at_ns(deadline_ns))};
  });
}

ferry_status ferry_listen(ferry_runtime* runtime, const char* descriptor, ferry_server** out, ferry_error* error) {
  return guarded(error, [&] {
    ferry::Listener listener = runtime->runtime.listen(descriptor);
    std::string dialable = listener.descriptor();
    *out = new ferry_server{std::move(listener), std::move(dialable)};
  });
}

const char* ferry_server_descriptor(const ferry_server* server) { return server->descriptor.c_str(); }

ferry_status ferry_server_accept(ferry_server* server, int64_t deadline_ns, ferry_channel** out, ferry_error* error) {
  return guarded(
      error, [&] { *out = new ferry_channel{ferry::Channel(server->listener.accept(Deadline::at_ns(deadline_ns)))}; });
}

ferry_status ferry_server_accept_stream(ferry_server* server, int64_t deadline_ns, ferry_stream** out,
                                        ferry_error* error) {
  return guarded(error, [&] { *out = new ferry_stream{server->listener.accept(Deadline::at_ns(deadline_ns))}; });
}

void ferry_server_interrupt(ferry_server* server) { server->listener.interrupt(); }
void ferry_server_close(ferry_server* server) { delete server; }

ferry_status ferry_channel_send(ferry_channel* channel, const void* data, uint64_t size, int64_t deadline_ns) {
  return status_of([&] { return channel->channel.try_send(bytes(data, size), Deadline::at_ns(deadline_ns)); });
}

ferry_status ferry_channel_send_many(ferry_channel* channel, const ferry_iovec* messages, uint64_t count,
                                     uint64_t* sent, int64_t deadline_ns) {
  std::size_t whole = 0;
  const ferry_status status = status_of([&] {
    std::vector<ferry::ConstBytes> views;
    views.reserve(static_cast<std::size_t>(count));
    for (const ferry_iovec& message : std::span(messages, static_cast<std::size_t>(count))) {
      views.push_back(bytes(message.data, message.size));
    }
    return channel->channel.send_many(views, whole, Deadline::at_ns(deadline_ns));
  });
  *sent = whole;
  return status;
}

ferry_status ferry_channel_receive(ferry_channel* channel, const void** data, uint64_t* size, int64_t deadline_ns) {
  ferry::ConstBytes view;
  const ferry_status status =
      status_of([&] { return channel->channel.receive_view(view, Deadline::at_ns(deadline_ns)); });
  if (status != FERRY_OK) return status;
  *data = view.data();
  *size = view.size();
  return FERRY_OK;
}

ferry_status ferry_channel_prove_to_server(ferry_channel* channel, const void* key, uint64_t size, int64_t deadline_ns,
                                           ferry_error* error) {
  return guarded(error,
                 [&] { channel->channel.authenticate_as_client(text(key, size), Deadline::at_ns(deadline_ns)); });
}

ferry_status ferry_channel_challenge_client(ferry_channel* channel, const void* key, uint64_t size, int64_t deadline_ns,
                                            ferry_error* error) {
  return guarded(error,
                 [&] { channel->channel.authenticate_as_listener(text(key, size), Deadline::at_ns(deadline_ns)); });
}

ferry_status ferry_channel_shutdown_write(ferry_channel* channel) {
  return static_cast<ferry_status>(channel->channel.shutdown_write());
}

void ferry_channel_interrupt(ferry_channel* channel) { channel->channel.interrupt(); }

ferry_status ferry_channel_close(ferry_channel* channel) {
  if (channel == nullptr) return FERRY_OK;
  const Status status = channel->channel.close();
  delete channel;
  return static_cast<ferry_status>(status);
}

void ferry_channel_abort(ferry_channel* channel) {
  if (channel != nullptr) channel->channel.abort();
  delete channel;
}

int64_t ferry_stream_read(ferry_stream* stream, void* data, uint64_t size, int64_t deadline_ns) {
  ferry::IoResult result;
  const ferry_status status = status_of([&] {
    result = stream->connection.read({static_cast<std::byte*>(data), static_cast<std::size_t>(size)},
                                     Deadline::at_ns(deadline_ns));
    return result.status;
  });
  return status == FERRY_OK ? static_cast<int64_t>(result.size) : status;
}

ferry_status ferry_stream_write(ferry_stream* stream, const void* data, uint64_t size, uint64_t* written,
                                int64_t deadline_ns) {
  ferry::IoResult result;
  const ferry_status status = status_of([&] {
    result = stream->connection.write(bytes(data, size), Deadline::at_ns(deadline_ns));
    return result.status;
  });
  if (written != nullptr) *written = result.size;
  return status;
}

ferry_status ferry_stream_shutdown_write(ferry_stream* stream) {
  return static_cast<ferry_status>(stream->connection.shutdown_write());
}

void ferry_stream_interrupt(ferry_stream* stream) { stream->connection.interrupt(); }

ferry_status ferry_stream_close(ferry_stream* stream) {
  if (stream == nullptr) return FERRY_OK;
  const Status status = stream->connection.close();
  delete stream;
  return static_cast<ferry_status>(status);
}

void ferry_stream_abort(ferry_stream* stream) {
  if (stream != nullptr) stream->connection.abort();
  delete stream;
}
