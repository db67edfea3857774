#include "serve/streams.hpp"

#include <utility>

#include "ferry/streams.hpp"
#include "logging.hpp"

namespace ferry::host {

void Streams::follow(Connection& first, std::function<void(Connection)> on_stream) {
  if (!has_streams(first)) return;
  const std::uint64_t key = next_++;
  const auto on_error = [this, key](const ferry_error& error) {
    if (error.status == FERRY_CLOSED) {  // the two have parted
      listeners_.erase(key);
    } else {
      log_line(FERRY_LOG_DEBUG, "accept of a stream: {}", error.message);
    }
  };
  try {
    listeners_[key] = reactor_.listen(listen_for_streams(first), std::move(on_stream), on_error);
  } catch (const Error& error) {  // the client has the stream that it came with, as with other transports
    listeners_.erase(key);
    log_line(FERRY_LOG_DEBUG, "{}", error.what());
  }
}

void Streams::stop() {
  for (auto& [key, listener] : std::exchange(listeners_, {})) listener->close();
}

}  // namespace ferry::host
