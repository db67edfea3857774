// Runs the loop only inside a round: between rounds the process sleeps in its control socket, so that the other lane
// has the machine to itself.
#include "bench/reactor_side.hpp"

#include <utility>

#include "ferry/deadline.hpp"

namespace ferry::bench {
namespace {

class ReactorSide final : public Side {
 public:
  explicit ReactorSide(Connection connection) {
    ReactorConnection::Handlers handlers;
    handlers.on_message = [this](ReactorConnection&, ConstBytes message) { on_message(message); };
    handlers.on_writable = [this](ReactorConnection&) { pump(); };
    handlers.on_closed = [this](ReactorConnection&, Status status) {
      closed_ = true;
      why_ = status;
      reactor_.stop();
    };
    connection_ = reactor_.add(std::move(connection), std::move(handlers));
  }

  void lead(const Round& round, std::vector<std::int64_t>* latencies) override {
    begin(round, true);
    latencies_ = latencies;
    if (round.measure == Measure::ping_pong) {
      before_ = monotonic_now_ns();
      connection_->send(message_.bytes);
    } else {
      pump();
    }
    run();
  }

  void follow(const Round& round) override {
    begin(round, false);
    run();
  }

 private:
  void begin(const Round& round, bool leads) {
    const auto bytes = std::make_shared<std::vector<std::byte>>(round.size, std::byte{'m'});
    message_ = {*bytes, bytes};
    round_ = round;
    leads_ = leads;
    answers_ = leads || round.measure == Measure::ping_pong;
    sent_ = 0;
    received_ = 0;
  }

  void run() {
    if (!closed_) reactor_.run();
    if (closed_) throw Error(why_, "run", "benchmark lane", "the peer process has gone");
  }

  void pump() {
    if (!leads_ || round_.measure == Measure::ping_pong) return;
    round_.measure == Measure::bulk ? pump(message_) : pump(message_.bytes);
  }

  template <class Message>
  void pump(const Message& message) {
    ReactorConnection& to = *connection_;
    std::uint64_t left = round_.count - sent_;
    while (left > 0) {
      --left;
      if (!to.send(message)) break;
    }
    sent_ = round_.count - left;
  }

  void on_message(ConstBytes message) {
    if (++received_ == round_.count || answers_) return on_turning_point(message);
    touched_ += std::to_integer<std::uint64_t>(message.front());
  }

  // Apart, so that what is done for each of a stream's messages needs no stack.
  [[gnu::noinline]] void on_turning_point(ConstBytes message) {
    if (round_.measure == Measure::ping_pong) return on_ping_pong(message);
    if (leads_) return reactor_.stop();  // the acknowledgement
    touched_ += std::to_integer<std::uint64_t>(message.front());
    const std::byte acknowledgement{'a'};
    connection_->send(ConstBytes(&acknowledgement, 1));
    stop_when_sent();
  }

  void on_ping_pong(ConstBytes message) {
    if (!leads_) {
      connection_->send(message);
      if (received_ == round_.count) stop_when_sent();
      return;
    }
    const std::int64_t after = monotonic_now_ns();
    if (latencies_ != nullptr) latencies_->push_back(after - before_);
    before_ = after;
    if (received_ == round_.count) return reactor_.stop();
    connection_->send(message_.bytes);
  }

  // The queue leaves at the end of this loop turn; stopping in a later one cannot strand it.
  void stop_when_sent() {
    reactor_.post([this] {
      if (connection_->queued_bytes() == 0) {
        reactor_.stop();
      } else {
        stop_when_sent();
      }
    });
  }

  Reactor reactor_;
  std::shared_ptr<ReactorConnection> connection_;
  Round round_;
  bool leads_ = false;
  bool answers_ = false;  // every message is one to act on
  bool closed_ = false;
  Status why_ = Status::ok;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::int64_t before_ = 0;
  std::vector<std::int64_t>* latencies_ = nullptr;
  SharedBytes message_;
  std::uint64_t touched_ = 0;
};

}  // namespace

std::unique_ptr<Side> make_reactor_side(Connection connection) {
  return std::make_unique<ReactorSide>(std::move(connection));
}

}  // namespace ferry::bench
