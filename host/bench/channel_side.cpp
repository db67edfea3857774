#include "bench/channel_side.hpp"

#include <algorithm>
#include <utility>

#include "ferry/deadline.hpp"

namespace ferry::bench {
namespace {

class ChannelSide final : public Side {
 public:
  explicit ChannelSide(Connection connection) : channel_(std::move(connection)) {}

  void lead(const Round& round, std::vector<std::int64_t>* latencies) override {
    message_.assign(round.size, std::byte{'m'});
    switch (round.measure) {
      case Measure::ping_pong:
        return ping(round, latencies);
      case Measure::one_way_batched:
        send_batches(round);
        break;
      case Measure::one_way:
      case Measure::bulk:
        for (std::uint64_t i = 0; i < round.count; ++i) send();
        break;
    }
    receive();
  }

  void follow(const Round& round) override {
    message_.assign(round.size, std::byte{'m'});
    if (round.measure == Measure::ping_pong) {
      for (std::uint64_t i = 0; i < round.count; ++i) {
        const ConstBytes message = receive();
        check(channel_.try_send(message), "send");
      }
      return;
    }
    receive_all(round.count);
    message_.assign(1, std::byte{'a'});
    send();
  }

 private:
  static void check(Status status, const char* operation) {
    if (status != Status::ok) throw Error(status, operation, "benchmark lane", std::string(describe(status)));
  }
  void send() { check(channel_.try_send(message_), "send"); }
  ConstBytes receive() {
    ConstBytes message;
    check(channel_.receive_view(message), "receive");
    return message;
  }

  void ping(const Round& round, std::vector<std::int64_t>* latencies) {
    std::int64_t before = monotonic_now_ns();
    for (std::uint64_t i = 0; i < round.count; ++i) {
      send();
      receive();
      const std::int64_t after = monotonic_now_ns();
      if (latencies != nullptr) latencies->push_back(after - before);
      before = after;
    }
  }

  void send_batches(const Round& round) {
    const std::vector<ConstBytes> batch(batch_messages, ConstBytes(message_));
    for (std::uint64_t left = round.count; left > 0;) {
      std::size_t sent = 0;
      check(channel_.send_many(std::span(batch).first(std::min<std::uint64_t>(left, batch.size())), sent), "send_many");
      left -= sent;
    }
  }

  void receive_all(std::uint64_t count) {
    std::vector<ConstBytes> batch(batch_messages);
    for (std::uint64_t left = count; left > 0;) {
      std::size_t received = 0;
      check(channel_.receive_many(std::span(batch).first(std::min<std::uint64_t>(left, batch.size())), received),
            "receive_many");
      for (std::size_t i = 0; i < received; ++i) touched_ += std::to_integer<std::uint64_t>(batch[i].front());
      left -= received;
    }
  }

  Channel channel_;
  std::vector<std::byte> message_;
  std::uint64_t touched_ = 0;
};

}  // namespace

std::unique_ptr<Side> make_channel_side(Connection connection) {
  return std::make_unique<ChannelSide>(std::move(connection));
}

}  // namespace ferry::bench
