// Two connections relayed to each other on a reactor, until both directions have ended.
//
// How endings pass through:
//   end of one direction    the other side's direction is ended (half-close); the pair lives on for the reverse. Where
//                           either transport has no half-close, what the other side has sent already is delivered; then
//                           both are ended
//   reset by one side       the other side is reset
//   one side takes no more  what that side still sends is delivered first; then both are ended
// A pair is never killed for being idle.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "ferry/connection.hpp"
#include "ferry/reactor.hpp"
#include "ferry/readiness.hpp"
#include "relay/flow.hpp"

namespace ferry::host {

class Pair : public std::enable_shared_from_this<Pair> {
 public:
  struct Outcome {
    FlowLedger to_target;
    FlowLedger to_client;
    Status status = Status::ok;  ///< reset, or why else it did not end in order
  };
  using Done = std::function<void(Pair&, const Outcome&)>;

  /// Throws Error when a transport cannot be polled. `done` is called once, as the pair's last act.
  Pair(Reactor& reactor, Scratch& scratch, Connection client, Connection target, Done done);
  ~Pair();

  void start();
  /// Resets both sides now, then calls `done` with FERRY_INTERRUPTED.
  void cut();

 private:
  static constexpr std::int64_t first_look_ns = 1'000'000;
  static constexpr std::int64_t last_look_ns = 256'000'000;

  struct End {
    Connection connection;
    std::unique_ptr<Readiness> readiness{};
    std::unique_ptr<ReactorHandle> look_again{};
    std::int64_t look_again_ns = first_look_ns;
    bool finished = false;
  };

  void on_ready(std::size_t end, ferry_interest interest);
  void run(std::size_t flow);
  void conclude();
  void finish(std::size_t end);
  void abort(Status why);
  void report();

  Reactor& reactor_;
  Scratch& scratch_;
  std::array<End, 2> ends_;    // client, target
  std::array<Flow, 2> flows_;  // flow i reads from end i and writes to the other
  Done done_;
  Status status_ = Status::ok;
  bool last_words_ = false;  // the pair ends once the reverse flow has no more at hand
  bool finishing_ = false;
  bool reported_ = false;
};

}  // namespace ferry::host
