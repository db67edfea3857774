// Streams that clients open beside their first one, where the transport has any: each is a client of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "ferry/reactor.hpp"

namespace ferry::host {

/// Loop thread only.
class Streams {
 public:
  /// `reactor` outlives it.
  explicit Streams(Reactor& reactor) : reactor_(reactor) {}
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  ~Streams() { stop(); }

  /// Accepts the streams of whoever is at the other end of `first`, until the two part or stop().
  void follow(Connection& first, std::function<void(Connection)> on_stream);
  /// No more streams; those that were accepted live on.
  void stop();

 private:
  Reactor& reactor_;
  std::unordered_map<std::uint64_t, std::shared_ptr<ReactorListener>> listeners_;
  std::uint64_t next_ = 0;
};

}  // namespace ferry::host
