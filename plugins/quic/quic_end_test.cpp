// However a connection ends, everybody who waits for anything on it is woken, whoever looks for packets at the time:
// one of those who wait, the engine's own thread, or a reactor. A wake-up that is lost ends a wait at its deadline, and
// the test.
#include <doctest/doctest.h>

#include <functional>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "ferry/reactor.hpp"
#include "ferry/streams.hpp"
#include "quic_test_world.hpp"

using namespace ferry;
using namespace ferry::quic_test;

namespace {

constexpr auto limit = 20s;

struct Waiting {
  std::string what;
  std::future<Status> status;
};

/// The end that waits, a server's: its connection and two further streams, whose peer reads nothing. The peer has an
/// engine of its own, and a window that is soon full.
class Ends {
 public:
  explicit Ends(World& world) {
    Listener listener = world.listen("&idle_timeout=500ms&linger=20s");
    auto connecting = std::async(std::launch::async, [&] {
      return world.connect_from_elsewhere(listener.descriptor(), "&rcvbuf=16KiB&linger=100ms");
    });
    here_.push_back(listener.accept(limit));
    peers_.push_back(connecting.get());
    streams_ = listen_for_streams(here_.front());
    for (int i = 0; i < 3; ++i) {
      peers_.push_back(open_stream(peers_.front(), limit));
      here_.push_back(streams_.accept(limit));
    }
  }

  /// Those who wait for a stream: the first of them leads, as long as nobody sleeps who cannot.
  std::vector<Waiting> wait_on_streams() {
    std::vector<Waiting> out;
    auto stream = here_.begin();
    Connection& first = *stream++;
    Connection& written = *stream++;
    Connection& finished = *stream++;
    out.push_back(start("read", [&] {
      std::byte byte{};
      return first.read({&byte, 1}, limit).status;
    }));
    out.push_back(start("open", [&] {
      try {
        return open_stream(first, limit), Status::ok;
      } catch (const Error& error) {
        return error.status();
      }
    }));
    out.push_back(start("write", [&] { return written.write(std::vector<std::byte>(8u << 20), limit).status; }));
    out.push_back(start("finish", [&] {
      (void)finished.write(std::vector<std::byte>(100u << 10), limit);
      return finished.close();
    }));
    return out;
  }

  /// Those who wait for other things, and sleep.
  std::vector<Waiting> wait_on_others() {
    std::vector<Waiting> out;
    out.push_back(start("accept", [&] {
      Connection stream;
      return streams_.try_accept(stream, limit);
    }));
    datagrams_ = open_datagrams(here_.front());
    out.push_back(start("datagram", [&] {
      std::byte byte{};
      return datagrams_.read({&byte, 1}, limit).status;
    }));
    return out;
  }

  /// One more stream, for a reactor.
  Connection take_spare() { return std::move(here_.back()); }
  std::list<Connection>& peers() { return peers_; }

 private:
  static Waiting start(std::string what, std::function<Status()> body) {
    return {std::move(what), std::async(std::launch::async, std::move(body))};
  }

  std::list<Connection> here_, peers_;
  Listener streams_;
  Connection datagrams_;
};

using End = std::function<void(std::list<Connection>&)>;

void abort_all(std::list<Connection>& peers) {
  for (Connection& peer : peers) peer.abort();
}
void close_all(std::list<Connection>& peers) {
  for (Connection& peer : peers) (void)peer.close();
}
void fall_silent(std::list<Connection>&) {}

void all_wake(std::vector<Waiting>& waiting) {
  for (Waiting& each : waiting) {
    CAPTURE(each.what);
    const Status status = each.status.get();
    CAPTURE(std::string(name_of(status)));
    CHECK(status != Status::timed_out);
    CHECK(status != Status::ok);
  }
}

void let_them_wait() {
  std::this_thread::sleep_for(50ms);
}  // those who are to wait most likely do, and the windows are full

}  // namespace

TEST_CASE("who waits for a stream is woken by the end, the one who looks for packets and the others") {
  for (const End& end : {End(abort_all), End(close_all), End(fall_silent)}) {
    World world;
    Ends ends(world);
    std::vector<Waiting> waiting = ends.wait_on_streams();
    let_them_wait();
    end(ends.peers());
    all_wake(waiting);
  }
}

TEST_CASE("so is everybody else, while the engine's own thread looks") {
  for (const End& end : {End(abort_all), End(close_all), End(fall_silent)}) {
    World world;
    Ends ends(world);
    std::vector<Waiting> waiting = ends.wait_on_others();
    let_them_wait();
    for (Waiting& each : ends.wait_on_streams()) waiting.push_back(std::move(each));
    let_them_wait();
    end(ends.peers());
    all_wake(waiting);
  }
}

TEST_CASE("and while a reactor looks, which hears of it as well") {
  for (const End& end : {End(abort_all), End(close_all), End(fall_silent)}) {
    World world;
    Ends ends(world);
    std::vector<Waiting> waiting = ends.wait_on_streams();
    for (Waiting& each : ends.wait_on_others()) waiting.push_back(std::move(each));
    Reactor reactor;
    bool closed = false;
    ReactorConnection::Handlers handlers;
    handlers.on_bytes = [](ReactorConnection&, ConstBytes) {};
    handlers.on_closed = [&](ReactorConnection&, Status) {
      closed = true;
      reactor.stop();
    };
    reactor.add(ends.take_spare(), std::move(handlers));
    const auto ending = reactor.call_at(50ms, [&] { end(ends.peers()); });
    const auto watchdog = reactor.call_at(limit, [&] { reactor.stop(); });
    reactor.run();
    CHECK(closed);
    all_wake(waiting);
  }
}
