#include "exchange/exchange.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "ferry/authentication.hpp"
#include "logging.hpp"
#include "standard_streams.hpp"

namespace ferry::host {
namespace {

constexpr std::size_t buffer_bytes = 64u << 10;

// Where the transport has no half-close nothing tells the peer that our input has ended, and most peers wait for that
// before they end. From then on so long a silence ends the exchange.
constexpr std::int64_t silence_ns = 1'000'000'000;

// What both framings have in common. `send` consumes a run of standard input; `last` says that nothing follows.
struct Wire {
  bool half_closes;
  std::function<Status(ConstBytes input, bool last)> send;
  std::function<Status(ConstBytes& received, Deadline deadline)> receive;
  std::function<Status()> shutdown_write;
  std::function<void()> interrupt;
  std::function<Status()> close;
};

enum class Place { none, input, output, sending, receiving, closing };

struct Ending {
  Status status = Status::ok;
  Place place = Place::none;
};

Ending pump_input(const Wire& wire, StandardInput& input, Deadline deadline) {
  std::vector<std::byte> buffer(buffer_bytes);
  for (;;) {
    const IoResult got = input.read(buffer, deadline);
    if (got.status == Status::interrupted) return {};  // the receiving side has the reason
    if (!got && got.status != Status::end) return {got.status, Place::input};
    const bool last = got.status == Status::end;
    if (const Status sent = wire.send({buffer.data(), got.size}, last); sent != Status::ok)
      return {sent, Place::sending};
    if (!last) continue;
    const Status ended = wire.half_closes ? wire.shutdown_write() : Status::ok;
    return ended == Status::ok ? Ending{} : Ending{ended, Place::sending};
  }
}

// `input_over` says that all of standard input was sent.
Ending pump_output(const Wire& wire, const std::atomic<bool>& input_over, Deadline deadline) {
  for (;;) {
    ConstBytes received;
    const bool nothing_to_send = input_over.load(std::memory_order_relaxed);
    const std::int64_t silent_at = wire.half_closes ? FERRY_FOREVER : monotonic_now_ns() + silence_ns;
    const Status status = wire.receive(received, Deadline::at_ns(std::min(silent_at, deadline.ns())));
    if (status == Status::timed_out && silent_at < deadline.ns()) {
      if (!nothing_to_send) continue;
      log_line(FERRY_LOG_INFO, "ended after {} s of silence: the transport cannot tell the peer that the input ended",
               silence_ns / 1'000'000'000);
      return end_standard_output(), Ending{};
    }
    if (status == Status::end) return end_standard_output(), Ending{};
    if (status != Status::ok) return {status, Place::receiving};
    if (!write_standard_output(received)) return {Status::io, Place::output};
  }
}

void judge(ExchangeReport& report, const Ending& ending) {
  if (ending.status == Status::ok || report.code != ExitCode::ok) return;
  if (ending.status == Status::authentication) {
    report.code = ExitCode::connect;
    report.problem =
        "the peer asks for a key before anything else, and answers nothing without one; connect to a link "
        "with its \"authkey\" (see --config)";
    return;
  }
  const bool timed_out = ending.status == Status::timed_out;
  const std::string why = timed_out ? "the deadline passed" : std::string(describe(ending.status));
  switch (ending.place) {
    case Place::none:
      return;
    case Place::input:
      report.code = timed_out ? ExitCode::timeout : ExitCode::operation;
      report.problem = "read standard input: " + why;
      return;
    case Place::output:
      report.code = ExitCode::operation;
      report.problem = "write standard output: nobody reads it any more, or it is full";
      return;
    case Place::sending:
    case Place::closing:
      report.code = timed_out ? ExitCode::timeout : ExitCode::data_incomplete;
      report.problem = "what was sent did not all arrive: " + why;
      return;
    case Place::receiving:
      report.code = timed_out ? ExitCode::timeout : ExitCode::data_incomplete;
      report.problem = "what was received is cut off: " + why;
      return;
  }
}

// The peer may end its direction and still read ours, so its end alone ends nothing - except where the transport has no
// half-close, and at a terminal, where nobody would know to press the end-of-file key.
ExchangeReport run(const Wire& wire, Deadline deadline) {
  StandardInput input;
  Ending sending;
  std::atomic<bool> input_over = false;
  std::thread sender([&] {
    sending = pump_input(wire, input, deadline);
    input_over.store(true, std::memory_order_relaxed);
  });
  const Ending receiving = pump_output(wire, input_over, deadline);
  const bool peer_is_gone = !wire.half_closes && !input_over.load(std::memory_order_relaxed);
  if (receiving.status != Status::ok || peer_is_gone || input.is_terminal()) {
    input.cancel();
    wire.interrupt();
  }
  sender.join();
  ExchangeReport report;
  judge(report, receiving);
  judge(report, sending);
  if (report.code == ExitCode::ok) judge(report, {wire.close(), Place::closing});
  return report;
}

ConstBytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// Cuts standard input into lines; what has no line end yet waits for more.
class Lines {
 public:
  template <class Take>
  Status feed(ConstBytes input, bool last, Take&& take) {
    const char* text = reinterpret_cast<const char*>(input.data());
    std::size_t left = input.size();
    while (left > 0) {
      const void* found = std::memchr(text, '\n', left);
      if (found == nullptr) break;
      const auto length = static_cast<std::size_t>(static_cast<const char*>(found) - text);
      line_.append(text, length);
      if (const Status status = take(bytes_of(line_)); status != Status::ok) return status;
      line_.clear();
      text += length + 1;
      left -= length + 1;
    }
    line_.append(text, left);
    if (!last || line_.empty()) return Status::ok;
    return take(bytes_of(std::exchange(line_, {})));
  }

 private:
  std::string line_;
};

}  // namespace

ExchangeReport exchange_bytes(Connection connection, Deadline deadline) {
  std::vector<std::byte> buffer(buffer_bytes);
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  Wire wire;
  wire.half_closes = connection.half_closes();
  wire.send = [&](ConstBytes input, bool) {
    if (input.empty()) return Status::ok;
    const IoResult written = connection.write(input, deadline);
    sent += written.size;
    return written.status;
  };
  wire.receive = [&](ConstBytes& view, Deadline until) {
    const IoResult got = connection.read(buffer, until);
    received += got.size;
    view = ConstBytes(buffer).first(got.size);
    return got.status;
  };
  wire.shutdown_write = [&] { return connection.shutdown_write(); };
  wire.interrupt = [&] { connection.interrupt(); };
  wire.close = [&] { return connection.close(); };
  ExchangeReport report = run(wire, deadline);
  report.sent = sent;
  report.received = received;
  return report;
}

ExchangeReport exchange_messages(Channel channel, Deadline deadline) {
  Lines lines;
  std::string line;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  Wire wire;
  wire.half_closes = channel.connection().half_closes();
  wire.send = [&](ConstBytes input, bool last) {
    return lines.feed(input, last, [&](ConstBytes message) {
      const Status status = channel.try_send(message, deadline);
      if (status == Status::ok) ++sent;
      return status;
    });
  };
  wire.receive = [&](ConstBytes& view, Deadline until) {
    ConstBytes message;
    const Status status = channel.receive_view(message, until);
    if (status != Status::ok) return status;
    if (received == 0 && Authentication::is_challenge(message)) return Status::authentication;
    ++received;
    line.assign(reinterpret_cast<const char*>(message.data()), message.size());
    line += '\n';
    view = bytes_of(line);
    return status;
  };
  wire.shutdown_write = [&] { return channel.shutdown_write(); };
  wire.interrupt = [&] { channel.interrupt(); };
  wire.close = [&] { return channel.close(); };
  ExchangeReport report = run(wire, deadline);
  report.sent = sent;
  report.received = received;
  return report;
}

}  // namespace ferry::host
