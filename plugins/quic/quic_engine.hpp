// What drives every connection of one transport: sockets, deadlines, and the gate that lets one thread in at a time.
//
// Whoever has entered the gate is the engine. Mostly that is its own thread, which sleeps on an epoll descriptor; but
// an application's thread that has written enters as well when the gate is free, and encrypts and sends by itself. That
// saves the wake-up of another thread, which costs more than the packet. When the gate is taken, it leaves word in a
// list that whoever is inside looks at before and after leaving, so nobody waits and nothing is forgotten.
//
// libuv was meant to run here and was rejected: its loop belongs to one thread, and would cost the hop that this saves.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
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

/// Connection ids that we hand out have this length. Random: nobody off the path can guess one.
inline constexpr std::size_t connection_id_bytes = 8;

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

  /// What a spinning reader does instead of nothing: looks for packets of its own connection, and now and then of all.
  /// As long as somebody does, the engine's thread naps rather than be woken by each packet for nothing. Any thread.
  void poll(Session& session) noexcept;
  /// A thread that has nothing to do but wait may look for packets in the meantime, instead of being woken by the
  /// engine's thread: one at a time, where nobody else waits. False: sleep as usual.
  bool start_leading() noexcept;
  /// Waits for packets, or for a write to lead_fd(), and handles them. Returns false after a millisecond without any:
  /// then it is better to let go, for the engine's thread wakes up as often while others lead.
  bool lead(std::int64_t deadline_ns) noexcept;
  void stop_leading() noexcept;
  int lead_fd() const noexcept { return wake_.get(); }
  /// Around the sleep of a thread that counts on the engine's to wake it.
  void sleep_begins() noexcept;
  void sleep_ends() noexcept { sleepers_.fetch_sub(1, std::memory_order_seq_cst); }
  /// An event loop waits on connections of this transport: from now on, only the engine's thread looks for packets.
  void forbid_leading() noexcept {
    if (!may_lead_.load(std::memory_order_relaxed)) return;
    may_lead_.store(false, std::memory_order_seq_cst);
    stop_polling();
  }

  /// Whoever polled is going to sleep: the engine's thread must look after the sockets again. Any thread.
  void stop_polling() noexcept;

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
  void watch_writable(UdpSocket& socket, bool wanted) noexcept;
  void route(std::string id, Session& session) { routes_[std::move(id)] = &session; }
  void unroute(const std::string& id) noexcept { routes_.erase(id); }
  Session* find(const std::string& id) const noexcept;
  Timers& timers() noexcept { return timers_; }
  /// The session has, or may have, something to send.
  void flush_later(Session& session);
  /// The stream's application is to be told what changed, once the packets at hand are through.
  void tell_later(Stream& stream);
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

  void enter() noexcept;
  bool try_enter() noexcept;
  void settle_and_leave() noexcept;
  void settle() noexcept;
  void take_posted();
  void tell_applications() noexcept;
  void flush_sessions(std::uint64_t now);
  void expire(std::uint64_t now);
  void set_timer() noexcept;
  void wake_thread() noexcept;
  void run() noexcept;
  void handle_events_safely(std::span<const epoll_event> events) noexcept;
  void handle_events(std::span<const epoll_event> events);
  void nap() noexcept;
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
  std::atomic<std::uint64_t> polled_at_{0};  // when somebody else looked for packets; 0: nobody goes on doing it
  std::atomic<std::uint32_t> napping_{0};
  std::atomic<bool> has_leader_{false};
  std::atomic<bool> may_lead_{true};
  std::atomic<int> sleepers_{0};
  std::once_flag started_;
  std::thread thread_;

  // Inside only.
  plugin::UniqueFd epoll_;
  plugin::UniqueFd timer_;
  plugin::UniqueFd wake_;
  std::uint64_t timer_set_to_ = no_deadline;
  std::uint32_t polls_ = 0;
  Timers timers_;
  std::unordered_map<int, Registered> sockets_;
  std::unordered_map<std::string, Session*> routes_;
  std::unordered_map<Session*, std::shared_ptr<Session>> sessions_;
  std::vector<std::shared_ptr<Session>> removed_;
  std::vector<std::shared_ptr<Stream>> to_tell_;
  std::vector<Session*> to_flush_;
  std::vector<Session*> flushing_;
  std::vector<std::shared_ptr<Acceptor>> acceptors_;
  std::unique_ptr<std::uint8_t[]> burst_;
  std::unique_ptr<ReceiveBuffers> receive_buffers_;
};

/// CLOCK_MONOTONIC, as ngtcp2 wants it.
std::uint64_t now_ns() noexcept;
void fill_random(std::uint8_t* bytes, std::size_t size) noexcept;

}  // namespace ferry::quic
