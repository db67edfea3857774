// What drives every connection of one transport: sockets, deadlines, and the gate that lets one thread in at a time.
//
// Whoever has entered the gate is the engine. An application's thread that has written enters when the gate is free,
// and encrypts and sends by itself. That saves the wake-up of another thread, which costs more than the packet. When
// the gate is taken, it leaves word in a list that whoever is inside looks at before and after leaving, so nobody waits
// and nothing is forgotten.
//
// Somebody has to look for packets and keep the deadlines. All of them wait on one epoll descriptor:
//   the driver  an event loop that has taken the engine (ferry.drive/1)
//   a leader    a thread that waits for its own connection, client or stream and would otherwise be woken by somebody
//               else, one at a time
//   a poller    a reader that spins, without waiting
//   the keeper  the engine's own thread: when there are threads that sleep and none of the above; or when those that
//               looked have not come back for a while, busy with something else
// While others look, the keeper naps: for two milliseconds at a time, or, when one of them sleeps at the descriptor and
// nothing happens, until somebody wakes up.
//
// libuv was meant to run here and was rejected: its loop belongs to one thread, and would cost the hop that this saves.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "ferry/plugin.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "quic_queue.hpp"
#include "quic_socket.hpp"
#include "quic_timers.hpp"

namespace ferry::quic {

class Acceptor;
class Session;
class Stream;
class Wakeup;
struct Landing;

/// Connection ids that we hand out have this length. Random: nobody off the path can guess one.
inline constexpr std::size_t connection_id_bytes = 8;

/// What an application's thread waits for that looks for packets in the meantime.
struct Wait {
  std::span<Wakeup* const> wakeups;  ///< any of them
  std::int64_t deadline_ns;
  Stream* reader = nullptr;  ///< what arrives for it goes to `landing`
  Landing* landing = nullptr;
  int descriptor = -1;  ///< readable: it is over
};

class Engine {
 public:
  explicit Engine(const ferry_host& host);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  /// Every handle is closed. Lets what was closed gracefully end, for a bounded time, and cuts the rest.
  ~Engine();

  /// Makes the descriptors and the thread, once. Throws plugin::Failure. Any thread.
  void start();
  const ferry_host& host() const noexcept { return host_; }
  ChunkPool& chunks() noexcept { return chunks_; }
  void log(ferry_log_level level, const std::string& text) const noexcept { host_.log(&host_, level, text.c_str()); }

  /// The application did something with the stream: the engine is to look at it. Does it here and now when the gate is
  /// free. Any thread that has a handle on the stream.
  void post(Stream& stream) noexcept;

  // ---- Looking for packets: quic_engine_lookout.cpp.
  /// What a spinning reader does instead of nothing: looks for packets of its own connection, and now and then of all.
  /// Any thread.
  void poll(Stream& stream, Landing* landing) noexcept;
  /// A thread that has nothing to do but wait may look for packets in the meantime: one at a time, where nobody else
  /// waits. False: sleep as usual.
  bool start_leading() noexcept;
  /// Sends what is left to send, before a wait. True: there will be more to do at once. Then comes lead() or
  /// lead_no_more().
  bool lead_begins() noexcept;
  void lead_no_more() noexcept;
  /// Waits for packets, or for a write to lead_fd(), and handles them. What has to be sent then is left for the next
  /// lead_begins() or write of the leader, who most likely has an answer to go with it. The wake-ups are prepared; they
  /// are idle after the wait. False: nothing came before the deadline, or it is time to let go.
  bool lead(const Wait& wait, bool at_once) noexcept;
  void stop_leading() noexcept;
  int lead_fd() const noexcept { return wake_.get(); }
  /// Around the time in which a thread or an event loop counts on others to look.
  void sleep_begins() noexcept;
  void sleep_ends() noexcept { sleepers_.fetch_sub(1, std::memory_order_seq_cst); }

  // ---- ferry.drive/1; the functions have its contracts.
  ferry_status take(ferry_pollable& out) noexcept;
  void adopt(Stream& stream, std::uint64_t token) noexcept;
  std::uint32_t drive(std::uint32_t budget, std::span<ferry_driven> driven) noexcept;
  std::int32_t arm() noexcept;
  void give() noexcept;
  bool is_driven() const noexcept { return has_driver_.load(std::memory_order_relaxed); }
  /// Whether the driver lists the stream instead of signalling it. The driver's thread.
  bool drives(const Stream& stream) const noexcept;

  /// Being inside, waiting for it if need be. Not recursive.
  class Inside {
   public:
    explicit Inside(Engine& engine) noexcept : engine_(engine) { engine_.enter(); }
    ~Inside() { engine_.settle_and_leave(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Engine& engine_;
  };

  // ---- Inside only.
  void add(std::shared_ptr<Session> session);
  /// The session is gone from the engine; it is released once nobody is in the middle of it.
  void remove(Session& session) noexcept;
  void add_socket(UdpSocket& socket, PacketHandler& handler);
  void remove_socket(UdpSocket& socket) noexcept;
  /// The same of a socket that a packet may be arriving on: it is closed when the engine is left.
  void retire_socket(std::unique_ptr<UdpSocket> socket) noexcept;
  void watch_writable(UdpSocket& socket, bool wanted) noexcept;
  void route(std::string id, Session& session) {
    ++route_changes_;
    routes_[std::move(id)] = &session;
  }
  void unroute(const std::string& id) noexcept {
    ++route_changes_;
    routes_.erase(id);
  }
  /// What find() found stays true as long as this stays the same.
  std::uint64_t route_changes() const noexcept { return route_changes_; }
  Session* find(const std::string& id) const noexcept;
  Timers& timers() noexcept { return timers_; }
  /// The session has, or may have, something to send.
  void flush_later(Session& session);
  /// The stream's application is to be told what changed, once the packets at hand are through.
  void tell_later(Stream& stream);
  /// Wakes who waits for `interest` on the stream, or lists it for the driver who is inside.
  void wake(Stream& stream, ferry_interest interest) noexcept;
  std::uint8_t* burst_buffer() noexcept { return burst_.get(); }
  /// Those that came in through `acceptor`.
  std::vector<Session*> sessions_of(const Acceptor& acceptor) const;
  std::vector<std::shared_ptr<Acceptor>>& acceptors() noexcept { return acceptors_; }
  const std::array<std::uint8_t, 32>& secret() const noexcept { return secret_; }

 private:
  struct Registered {
    UdpSocket* socket;
    PacketHandler* handler;
  };
  struct DrivenList {
    std::span<ferry_driven> room;
    std::uint32_t count = 0;
  };

  void enter() noexcept;
  bool try_enter() noexcept;
  void settle_and_leave() noexcept;
  /// As settle_and_leave, but sends nothing yet: for who will be back.
  void tell_and_leave() noexcept;
  /// For who is going to wait at the epoll descriptor. True: something is due already.
  bool settle_before_wait() noexcept;
  bool somebody_waits() const noexcept;
  /// False: somebody posted meanwhile, and we are inside again to see to it.
  bool leave() noexcept;
  void settle() noexcept;
  void take_posted();
  void tell_applications() noexcept;
  void flush_sessions();
  void expire(std::uint64_t now);
  void set_timer() noexcept;
  void clear_timer() noexcept;
  template <class Work>
  void safely(Work&& work) noexcept;

  void wake_leader() noexcept;
  void keep() noexcept;
  void nap() noexcept;
  void end_nap() noexcept;
  void wait_begins() noexcept;
  void wait_ends() noexcept;
  void call_keeper() noexcept;
  bool is_left_to_keeper() const noexcept;
  void handle_events(std::span<const epoll_event> events, bool leads);
  void handle_pending();
  bool try_sockets(std::size_t messages);
  bool has_lingering() noexcept;

  static constexpr std::uint32_t open = 0;
  static constexpr std::uint32_t held = 1;
  static constexpr std::uint32_t contended = 2;
  static constexpr int max_events = 32;

  const ferry_host& host_;
  ChunkPool chunks_;
  std::array<std::uint8_t, 32> secret_{};  // of reset tokens and Retry tokens

  std::atomic<std::uint32_t> gate_{open};
  std::atomic<Stream*> posted_{nullptr};
  std::atomic<bool> stopping_{false};
  std::once_flag started_;
  std::thread keeper_;

  // Who looks for packets.
  static constexpr std::uint32_t awake = 0;
  static constexpr std::uint32_t dozing = 1;    // the keeper, for a while
  static constexpr std::uint32_t sleeping = 2;  // the keeper, until somebody ends a wait at the epoll descriptor
  static constexpr std::uint32_t called = 3;    // the keeper, awake, to leave that to others
  std::atomic<std::uint32_t> napping_{awake};
  std::atomic<std::uint32_t> looks_{0};    // counts what others than the keeper do to look for packets
  std::atomic<std::uint32_t> waiters_{0};  // others than the keeper that wait at the epoll descriptor
  std::atomic<std::uint32_t> sleepers_{0};
  std::atomic<bool> has_leader_{false};
  std::atomic<bool> has_driver_{false};
  std::atomic<std::uint32_t> driver_{1};  // a new number for each that takes the engine and each that gives it back
  std::uint32_t looks_seen_ = 0;          // the keeper's
  bool driver_waits_ = false;             // the driver's

  // Inside only.
  plugin::UniqueFd epoll_;
  plugin::UniqueFd timer_;
  plugin::UniqueFd wake_;  // the leader's
  plugin::UniqueFd keeper_call_;
  std::uint64_t timer_set_to_ = no_deadline;
  std::uint64_t looked_at_ = 0;  // for packets, since the gate was entered; 0: not yet
  std::uint32_t polls_ = 0;
  DrivenList* driven_ = nullptr;  // the driver is inside, and fills it
  Timers timers_;
  std::unordered_map<int, Registered> sockets_;
  std::unordered_map<std::string, Session*> routes_;
  std::uint64_t route_changes_ = 0;
  std::unordered_map<Session*, std::shared_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<UdpSocket>> retired_;  // until the engine is left: one may be what is being received from
  std::vector<std::shared_ptr<Session>> removed_;
  std::vector<std::shared_ptr<Stream>> to_tell_;
  std::vector<Session*> to_flush_;
  std::vector<Session*> flushing_;
  std::vector<std::shared_ptr<Acceptor>> acceptors_;
  std::unique_ptr<std::uint8_t[]> burst_;
  std::unique_ptr<ReceiveBuffers> receive_buffers_;
};

template <class Work>
void Engine::safely(Work&& work) noexcept {
  try {
    work();
  } catch (const std::bad_alloc&) {
    log(FERRY_LOG_ERROR, "quic: out of memory");
  } catch (const std::exception& error) {
    log(FERRY_LOG_ERROR, std::string("quic: ") + error.what());
  }
}

/// CLOCK_MONOTONIC, as ngtcp2 wants it.
std::uint64_t now_ns() noexcept;
void fill_random(std::uint8_t* bytes, std::size_t size) noexcept;

}  // namespace ferry::quic
