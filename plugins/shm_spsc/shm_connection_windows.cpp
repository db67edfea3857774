// Sleeping and waking: events that have names.
#include "ferry/sdk/pipe_acceptor.hpp"
#include "shm_connection.hpp"

namespace ferry::shm_spsc {

void ShmConnection::wake_sleeper(Wake, std::atomic<std::uint32_t>&, Signal& signal) noexcept { signal.raise(); }

template <class Half>
ferry_status ShmConnection::sleep(Half& half, Waiting<Half>& waiting, std::uint64_t wanted,
                                  std::int64_t deadline_ns) noexcept {
  if (!half.arm(Wake::blocked, wanted)) return FERRY_OK;
  // The end is signalled once, and somebody else may have slept on the event then.
  const ferry_status status =
      waiting.signal.peer_gone() ? ferry_status{FERRY_OK} : waiting.signal.sleep(deadline_ns, interrupt_);
  half.disarm();
  if (status == FERRY_OK && !waiting.signal.drain()) note_gone();
  return status == FERRY_TIMED_OUT ? FERRY_OK : status;
}

template ferry_status ShmConnection::sleep(RingReader<>&, Waiting<RingReader<>>&, std::uint64_t, std::int64_t) noexcept;
template ferry_status ShmConnection::sleep(RingWriter<>&, Waiting<RingWriter<>>&, std::uint64_t, std::int64_t) noexcept;

void ShmConnection::interrupt() noexcept { interrupt_.raise(); }

/// What was published is the peer's own memory once it has opened it; then that outlives us.
ferry_status ShmConnection::finish(std::int64_t deadline_ns) noexcept {
  const ferry_status status = shutdown_write();
  wake_writer(reader_.leave());
  while (!writing_.signal.met()) {
    if (writing_.signal.peer_gone()) return FERRY_RESET;
    const ferry_status slept = writing_.signal.sleep(deadline_ns, interrupt_);
    if (slept != FERRY_OK) return slept;
  }
  return status;
}

/// Windows has no numbers for users and groups.
ferry_status ShmConnection::credentials(ferry_credentials& out) const noexcept {
  const ULONG process = plugin::peer_process(writing_.signal.pipe());
  out.uid = out.gid = -1;
  out.pid = process == 0 ? -1 : std::int64_t{process};
  return FERRY_OK;
}

}  // namespace ferry::shm_spsc
