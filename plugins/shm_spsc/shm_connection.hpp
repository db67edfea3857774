// A connection: a ring each way, and what wakes either side.
//
// Trying costs no system call. A side that must sleep says so in the ring and is woken by whoever publishes next; as
// the data plane asks: a blocked call naps on the ring's futex for 50 ms, which is the cheapest wake-up there is, and
// then sleeps in poll on the signal socket, which an interrupt and the other process's end wake as well. So the end is
// noticed within the nap, and a long sleep costs nothing. An event loop polls the signal sockets themselves: `data` for
// reading, `room` for writing. There are two, because the reader's and the writer's thread each drain their own.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include "arming.hpp"
#include "ferry/plugin.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "link.hpp"
#include "ring.hpp"

namespace ferry::shm_spsc {

class ShmConnection : public plugin::Connection<ShmConnection> {
 public:
  ShmConnection(Link link, std::string local_address, std::string peer_address) noexcept;
  ~ShmConnection();

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept;
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                     std::int64_t deadline_ns) noexcept;
  std::int32_t arm(ferry_interest interest) noexcept;
  /// Arms all with one barrier.
  static void arm_many(ferry_connection* const* connections, std::uint32_t count, ferry_interest interest,
                       std::int32_t* answers) noexcept;
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) const noexcept;
  ferry_status shutdown_write() noexcept;
  void interrupt() noexcept;
  ferry_status finish(std::int64_t deadline_ns) noexcept;
  void abort_now() noexcept;
  void describe(ferry_connection_info& info) const noexcept;
  void effective(ferry_value* values, std::uint32_t count) const noexcept;
  static const void* extension(std::string_view id) noexcept;

  ferry_status look(std::uint64_t minimum, const void** data, std::uint64_t* size, std::int64_t deadline_ns) noexcept;
  ferry_status peek(std::uint64_t minimum, std::span<const std::byte>& view, std::int64_t deadline_ns) noexcept;
  void consume(std::uint64_t size) noexcept;
  ferry_status reserve(std::uint64_t minimum, std::span<std::byte>& room, std::int64_t deadline_ns) noexcept;
  ferry_status commit(std::uint64_t size, std::uint32_t flags) noexcept;
  ferry_status publish(std::uint64_t size) noexcept;
  std::int32_t statistics(ferry_statistic* figures, std::uint32_t capacity) const noexcept;
  ferry_status credentials(ferry_credentials& out) const noexcept;

 private:
  static constexpr std::uint64_t max_header_bytes = 4096;  // of a message, padding included

  /// Longest `minimum` of peek and reserve: a message of half a ring with its header. Two sides that both insist on
  /// more than half a ring could wait for one another.
  std::uint64_t max_view() const noexcept { return segment_.ring() / 2 + max_header_bytes; }
  /// Free bytes that a sleeping writer is woken for: a writer woken for each message read would sleep between any two.
  std::uint64_t room_worth_waking() const noexcept { return segment_.ring() / 4; }
  /// One direction's waiting: where its event loop is woken, and tries since somebody looked whether the peer lives.
  template <class Half>
  struct Waiting {
    Signal signal;
    std::uint32_t fruitless = 0;
    Arming<Half> arming;
  };
  /// An answer of `announce`: settle, then confirm.
  static constexpr std::int32_t announced = 2;
  static_assert(announced != FERRY_ARMED && announced != FERRY_READY);
  /// Waits until the ring has `wanted` bytes for `half`. FERRY_OK: look again.
  template <class Half>
  ferry_status wait(Half& half, Waiting<Half>& waiting, std::uint64_t wanted, std::int64_t deadline_ns) noexcept;
  /// Its second part, which each system has its own of: to sleep. The deadline is not yet past.
  template <class Half>
  ferry_status sleep(Half& half, Waiting<Half>& waiting, std::uint64_t wanted, std::int64_t deadline_ns) noexcept;
  // look's rarer cases; apart, so that a look in vain saves no registers for them.
  [[gnu::noinline]] ferry_status take_news(std::uint64_t minimum, const void** data, std::uint64_t* size,
                                           std::int64_t deadline_ns, std::uint64_t tail) noexcept;
  [[gnu::noinline]] ferry_status look_and_wait(std::uint64_t minimum, const void** data, std::uint64_t* size,
                                               std::int64_t deadline_ns) noexcept;
  template <class Half>
  void stand_down(Half& half, Waiting<Half>& waiting) noexcept;
  std::int32_t announce(ferry_interest interest) noexcept;
  template <class Half>
  std::int32_t announce(Half& half, Waiting<Half>& waiting, std::uint64_t wanted) noexcept;
  std::int32_t confirm(ferry_interest interest) noexcept;
  template <class Half>
  static std::int32_t confirm(Half& half, Waiting<Half>& waiting, std::uint64_t wanted) noexcept;
  ferry_status wait_to_read(RingStatus found, bool gone, std::uint64_t minimum, std::int64_t deadline_ns) noexcept;
  ferry_status wait_to_write(RingStatus found, std::uint64_t minimum, std::int64_t deadline_ns) noexcept;
  void publish_held() noexcept { wake_reader(writer_.publish(0, exchange_.pace())); }
  // publish's rare cases, where the system has barriers; apart, so that a stream saves no registers for them.
  [[gnu::noinline]] ferry_status publish_answer(std::uint64_t size) noexcept;
  [[gnu::noinline]] ferry_status publish_otherwise(std::uint64_t size) noexcept;
  [[gnu::noinline]] ferry_status wake_published() noexcept;
  void wake_reader(Wake wake) noexcept {
    if (wake != Wake::nobody) [[unlikely]]
      wake_sleeping_reader(wake);
  }
  void wake_writer(Wake wake) noexcept {
    if (wake != Wake::nobody) [[unlikely]]
      wake_sleeping_writer(wake);
  }
  // Apart from the above, so that whoever wakes nobody saves no registers for it.
  [[gnu::noinline]] void wake_sleeping_reader(Wake wake) noexcept;
  [[gnu::noinline]] void wake_sleeping_writer(Wake wake) noexcept;
  /// Wakes the other process's side that sleeps on `word` or, in an event loop, on its end of `signal`.
  static void wake_sleeper(Wake wake, std::atomic<std::uint32_t>& word, Signal& signal) noexcept;
  void end_output(std::uint32_t mark) noexcept;
  /// From now on nothing more is sent, and what was received is read to its end.
  void note_gone() noexcept { gone_.store(FERRY_RESET, std::memory_order_release); }  // pairs with peek, reserve
  bool is_gone() const noexcept { return gone_.load(std::memory_order_relaxed) != FERRY_OK; }

  Segment segment_;
  /// FERRY_RESET when the other process has ended, cut the connection, or broken its rules.
  std::atomic<ferry_status> gone_{FERRY_OK};
  Exchange exchange_;  // beside gone_, which either thread loads anyway
  std::atomic<bool> interrupted_{false};
  plugin::Interrupt interrupt_;
  // What the reader's and what the writer's thread change stands apart, so that they share no cache line.
  alignas(64) RingReader<> reader_;
  Waiting<RingReader<>> reading_;
  ferry_status read_failure_ = FERRY_OK;
  alignas(64) RingWriter<> writer_;
  Waiting<RingWriter<>> writing_;
  bool output_ended_ = false;
  alignas(64) const std::string local_address_;
  const std::string peer_address_;
};

}  // namespace ferry::shm_spsc
