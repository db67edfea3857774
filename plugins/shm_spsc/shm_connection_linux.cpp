// Sleeping and waking: a futex first, then the signal sockets.
#include <algorithm>

#include "ferry/sdk/clock.hpp"
#include "ferry/sdk/credentials.hpp"
#include "futex.hpp"
#include "shm_connection.hpp"

namespace ferry::shm_spsc {
namespace {

/// A shorter timer is armed nearer to its end and costs a wake-up more often (docs/decisions/0004).
constexpr std::int64_t nap_ns = 50'000'000;

}  // namespace

void ShmConnection::wake_sleeper(Wake wake, std::atomic<std::uint32_t>& word, Signal& signal) noexcept {
  if (wake == Wake::blocked) {
    futex_wake(word);
  } else {
    signal.raise();
  }
}

template <class Half>
ferry_status ShmConnection::sleep(Half& half, Waiting<Half>& waiting, std::uint64_t wanted,
                                  std::int64_t deadline_ns) noexcept {
  if (!half.arm(Wake::blocked, wanted)) return FERRY_OK;
  // Pairs with the store in interrupt(): either we see it, or it sees that we are armed and keeps us from sleeping.
  if (interrupted_.load(std::memory_order_seq_cst)) return half.disarm(), FERRY_INTERRUPTED;
  const std::int64_t nap_end_ns = std::min(deadline_ns, plugin::monotonic_ns() + nap_ns);
  const bool woken = futex_wait(half.sleep_word(), static_cast<std::uint32_t>(Wake::blocked), nap_end_ns);
  half.disarm();
  if (woken || nap_end_ns == deadline_ns) return FERRY_OK;  // a deadline that has passed is met at the next look
  if (!half.arm(Wake::polling, wanted)) return FERRY_OK;
  const ferry_status status = waiting.signal.sleep(deadline_ns, interrupt_);
  half.disarm();
  if (status == FERRY_OK && !waiting.signal.drain()) note_gone();
  return status == FERRY_TIMED_OUT ? FERRY_OK : status;
}

template ferry_status ShmConnection::sleep(RingReader<>&, Waiting<RingReader<>>&, std::uint64_t, std::int64_t) noexcept;
template ferry_status ShmConnection::sleep(RingWriter<>&, Waiting<RingWriter<>>&, std::uint64_t, std::int64_t) noexcept;

void ShmConnection::interrupt() noexcept {
  interrupted_.store(true, std::memory_order_seq_cst);  // pairs with the load in sleep
  interrupt_.raise();
  for (std::atomic<std::uint32_t>* word : {&reader_.sleep_word(), &writer_.sleep_word()}) {
    // Only a blocked call's announcement is taken back; an event loop's stays, as it is woken by other means.
    auto armed = static_cast<std::uint32_t>(Wake::blocked);
    if (word->compare_exchange_strong(armed, static_cast<std::uint32_t>(Wake::nobody), std::memory_order_seq_cst)) {
      futex_wake(*word);
    }
  }
}

/// What was published is the peer's own memory as well: it outlives us, so there is nothing to wait for.
ferry_status ShmConnection::finish(std::int64_t) noexcept {
  const ferry_status status = shutdown_write();
  wake_writer(reader_.leave());
  return status;
}

ferry_status ShmConnection::credentials(ferry_credentials& out) const noexcept {
  return plugin::fill_credentials(writing_.signal.fd(), out);
}

}  // namespace ferry::shm_spsc
