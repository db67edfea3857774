#include "shm_connection.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "ferry/sdk/clock.hpp"
#include "shm_options.hpp"

namespace ferry::shm_spsc {
namespace {

/// Tries that find nothing between two looks whether the other process still lives: some 100 us apart when spinning.
constexpr std::uint32_t tries_per_look = 4096;
/// Large copies are published in parts, so that the other side copies at the same time.
constexpr std::uint64_t part_bytes = 64u << 10;
/// Who waits for a large message sleeps for at most so much of it at a time. A processor that has slept for long is
/// expensive to wake, and its waker pays: 16 us once for each MiB, where 2.5 short sleeps cost 3 us each.
constexpr std::uint64_t sleep_step_bytes = 128u << 10;

}  // namespace

ShmConnection::ShmConnection(Link link, std::string local_address, std::string peer_address) noexcept
    : segment_(std::move(link.segment)),
      reader_(segment_.incoming(), segment_.incoming_bytes(), segment_.ring(), link.asymmetric),
      reading_{std::move(link.data), 0, {}},
      writer_(segment_.outgoing(), segment_.outgoing_bytes(), segment_.ring(), link.asymmetric),
      writing_{std::move(link.room), 0, {}},
      local_address_(std::move(local_address)),
      peer_address_(std::move(peer_address)) {}

ShmConnection::~ShmConnection() {
  publish_held();
  end_output(mark_ended);
  wake_writer(reader_.leave());
}

// ---------------------------------------------------------------------------------------------------------- waking

void ShmConnection::wake_sleeping_reader(Wake wake) noexcept {
  wake_sleeper(wake, segment_.outgoing().reader.kind, reading_.signal);
}

void ShmConnection::wake_sleeping_writer(Wake wake) noexcept {
  wake_sleeper(wake, segment_.incoming().writer.kind, writing_.signal);
}

template <class Half>
ferry_status ShmConnection::wait(Half& half, Waiting<Half>& waiting, std::uint64_t wanted,
                                 std::int64_t deadline_ns) noexcept {
  const bool looks_now = deadline_ns != FERRY_NO_WAIT || ++waiting.fruitless % tries_per_look == 0;
  if (deadline_ns == FERRY_NO_WAIT || plugin::deadline_passed(deadline_ns)) {
    if (!looks_now || !waiting.signal.peer_gone()) return plugin::out_of_time(deadline_ns);
    return note_gone(), FERRY_OK;
  }
  return sleep(half, waiting, wanted, deadline_ns);
}

std::int32_t ShmConnection::arm(ferry_interest interest) noexcept {
  std::int32_t answer = FERRY_READY;
  ferry_connection* const self = abi();
  arm_many(&self, 1, interest, &answer);
  return answer;
}

void ShmConnection::arm_many(ferry_connection* const* connections, std::uint32_t count, ferry_interest interest,
                             std::int32_t* answers) noexcept {
  bool needs_barrier = false;
  for (std::uint32_t i = 0; i < count; ++i) {
    ShmConnection& self = from(connections[i]);
    answers[i] = self.announce(interest);
    if (answers[i] != announced) continue;
    needs_barrier |= interest == FERRY_READ ? self.reader_.needs_barrier() : self.writer_.needs_barrier();
  }
  if (needs_barrier) SharedMachine::heavy_barrier();
  for (std::uint32_t i = 0; i < count; ++i) {
    if (answers[i] == announced) answers[i] = from(connections[i]).confirm(interest);
  }
}

/// Before a look.
template <class Half>
void ShmConnection::stand_down(Half& half, Waiting<Half>& waiting) noexcept {
  if (waiting.arming.stand_down(half) && !waiting.signal.drain()) [[unlikely]]
    note_gone();
}

std::int32_t ShmConnection::announce(ferry_interest interest) noexcept {
  if (interest == FERRY_READ) return announce(reader_, reading_, 1);
  stand_down(writer_, writing_);
  std::span<std::byte> room;
  if (writer_.reserve(1, room) != RingStatus::not_now) return FERRY_READY;
  publish_held();
  return announce(writer_, writing_, room_worth_waking());
}

template <class Half>
std::int32_t ShmConnection::announce(Half& half, Waiting<Half>& waiting, std::uint64_t wanted) noexcept {
  if (waiting.arming.stands(half)) {
    // What is drained here is no answer: an answer takes the announcement before it is raised.
    if (!waiting.signal.drain()) return note_gone(), FERRY_READY;
    if (waiting.arming.stands(half)) return FERRY_ARMED;
  }
  stand_down(half, waiting);
  const bool in_vain = waiting.arming.came_to_nothing(half);
  if ((in_vain || !Signal::stays_raised) && !waiting.signal.drain()) note_gone();
  if (is_gone()) return FERRY_READY;
  half.announce(Wake::polling, wanted);
  return announced;
}

std::int32_t ShmConnection::confirm(ferry_interest interest) noexcept {
  return interest == FERRY_READ ? confirm(reader_, reading_, 1) : confirm(writer_, writing_, room_worth_waking());
}

template <class Half>
std::int32_t ShmConnection::confirm(Half& half, Waiting<Half>& waiting, std::uint64_t wanted) noexcept {
  if (!half.confirm(wanted)) return FERRY_READY;
  waiting.arming.note(half);
  return FERRY_ARMED;
}

ferry_status ShmConnection::pollable(ferry_interest interest, ferry_pollable& out) const noexcept {
  out.handle = (interest == FERRY_READ ? reading_.signal : writing_.signal).handle();
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

// --------------------------------------------------------------------------------------------------------- reading

/// peek where nothing but the ring has to be looked at. Who spins comes by here some forty million times a second, so
/// this calls nothing, for which it would have to save registers: what a look stores waits behind the message sent
/// last.
inline ferry_status ShmConnection::look(std::uint64_t minimum, const void** data, std::uint64_t* size,
                                        std::int64_t deadline_ns) noexcept {
  const bool simple = !reading_.arming.is_announced() && read_failure_ == FERRY_OK && reader_.looks_at_once() &&
                      reader_.known() < minimum;
  if (!simple) [[unlikely]]
    return look_and_wait(minimum, data, size, deadline_ns);
  const RingReader<>::Look look = reader_.look();
  if (reader_.brings_news(look)) return take_news(minimum, data, size, deadline_ns, look.tail);
  const bool due = (reader_.in_vain() + 1) % tries_per_look == 0;
  const bool may_go_on = deadline_ns == FERRY_NO_WAIT && minimum <= max_view() && !due;
  if (may_go_on && !is_gone()) return FERRY_WOULD_BLOCK;
  if (due) reading_.fruitless = tries_per_look - 1;  // the next try looks whether the peer lives
  return look_and_wait(minimum, data, size, deadline_ns);
}

ferry_status ShmConnection::take_news(std::uint64_t minimum, const void** data, std::uint64_t* size,
                                      std::int64_t deadline_ns, std::uint64_t tail) noexcept {
  std::span<const std::byte> view;
  if (!reader_.take(tail, minimum, view)) return look_and_wait(minimum, data, size, deadline_ns);
  *data = view.data();
  *size = view.size();
  exchange_.found(reader_.came_late());
  return FERRY_OK;
}

ferry_status ShmConnection::look_and_wait(std::uint64_t minimum, const void** data, std::uint64_t* size,
                                          std::int64_t deadline_ns) noexcept {
  std::span<const std::byte> view;
  const ferry_status status = peek(minimum, view, deadline_ns);
  *data = view.data();
  *size = view.size();
  return status;
}

ferry_status ShmConnection::peek(std::uint64_t minimum, std::span<const std::byte>& view,
                                 std::int64_t deadline_ns) noexcept {
  stand_down(reader_, reading_);
  for (;;) {
    // Pairs with note_gone: what came before the end is seen.
    const bool gone = gone_.load(std::memory_order_acquire) != FERRY_OK;
    const bool looks = reader_.known() < minimum;
    const RingStatus found = read_failure_ == FERRY_OK ? reader_.peek(minimum, view) : RingStatus::corrupt;
    if (found == RingStatus::ok) [[likely]] {
      if (looks) exchange_.found(reader_.came_late());
      return FERRY_OK;
    }
    const ferry_status status = wait_to_read(found, gone, minimum, deadline_ns);
    if (status != FERRY_OK) return status;
  }
}

/// After a look that found too little. FERRY_OK: look again.
ferry_status ShmConnection::wait_to_read(RingStatus found, bool gone, std::uint64_t minimum,
                                         std::int64_t deadline_ns) noexcept {
  switch (found) {
    case RingStatus::ended:
      return FERRY_END;
    case RingStatus::reset:
      note_gone();
      return FERRY_RESET;
    case RingStatus::corrupt:
      note_gone();
      return read_failure_ = FERRY_PROTOCOL;
    default:
      break;
  }
  if (minimum > max_view()) return FERRY_TOO_LARGE;
  return gone ? FERRY_RESET
              : wait(reader_, reading_, std::min(minimum, reader_.known() + sleep_step_bytes), deadline_ns);
}

inline void ShmConnection::consume(std::uint64_t size) noexcept {
  if (size > 0) wake_writer(reader_.consume(size));
}

std::int64_t ShmConnection::read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
  if (size == 0) return 0;
  std::span<const std::byte> view;
  if (const ferry_status status = peek(1, view, deadline_ns); status != FERRY_OK) return status;
  const std::uint64_t count = std::min<std::uint64_t>(size, view.size());
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t part = std::min(count - done, part_bytes);
    std::memcpy(static_cast<std::byte*>(data) + done, view.data() + done, part);
    consume(part);
    done += part;
  }
  return static_cast<std::int64_t>(count);
}

// --------------------------------------------------------------------------------------------------------- writing

inline ferry_status ShmConnection::reserve(std::uint64_t minimum, std::span<std::byte>& room,
                                           std::int64_t deadline_ns) noexcept {
  stand_down(writer_, writing_);
  for (;;) {
    // pairs with note_gone
    const bool closed = output_ended_ || gone_.load(std::memory_order_acquire) != FERRY_OK;
    const RingStatus found = closed ? RingStatus::reset : writer_.reserve(minimum, room);
    if (found == RingStatus::ok) [[likely]]
      return FERRY_OK;
    const ferry_status status = wait_to_write(found, minimum, deadline_ns);
    if (status != FERRY_OK) return status;
  }
}

/// After a look that found too little room. FERRY_OK: look again.
ferry_status ShmConnection::wait_to_write(RingStatus found, std::uint64_t minimum, std::int64_t deadline_ns) noexcept {
  if (output_ended_) return FERRY_CLOSED;
  if (found != RingStatus::not_now) return note_gone(), FERRY_RESET;
  if (minimum > max_view()) return FERRY_TOO_LARGE;
  publish_held();  // what FERRY_WRITE_MORE held back: the reader makes no room before it has seen it
  return wait(writer_, writing_, std::max(minimum, room_worth_waking()), deadline_ns);
}

inline ferry_status ShmConnection::publish(std::uint64_t size) noexcept {
  if (!writer_.is_plain(size)) [[unlikely]]
    return publish_otherwise(size);
  if (exchange_.has_waited()) [[unlikely]]
    return publish_answer(size);
  if (writer_.publish_plainly(size)) [[unlikely]]
    return wake_published();
  return gone_.load(std::memory_order_relaxed);
}

ferry_status ShmConnection::publish_answer(std::uint64_t size) noexcept {
  exchange_.note_answered();
  if (writer_.publish_plainly(size, Pace::exchanging)) [[unlikely]]
    return wake_published();
  return gone_.load(std::memory_order_relaxed);
}

ferry_status ShmConnection::publish_otherwise(std::uint64_t size) noexcept {
  wake_reader(writer_.publish(size, exchange_.pace()));
  return gone_.load(std::memory_order_relaxed);
}

ferry_status ShmConnection::wake_published() noexcept {
  wake_reader(writer_.take_reader());
  return gone_.load(std::memory_order_relaxed);
}

ferry_status ShmConnection::commit(std::uint64_t size, std::uint32_t flags) noexcept {
  if ((flags & FERRY_WRITE_MORE) == 0) return publish(size);
  writer_.fill(size);
  return gone_.load(std::memory_order_relaxed);
}

std::int64_t ShmConnection::write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                                  std::int64_t deadline_ns) noexcept {
  stand_down(writer_, writing_);
  std::uint64_t wanted = 0;
  for (std::uint32_t i = 0; i < count; ++i) wanted += pieces[i].size;
  std::span<std::byte> room;
  if (wanted > 0) {
    // Looks for room for all of it before less will do: a message in two parts costs two publishes.
    const bool fits =
        !output_ended_ && !is_gone() && writer_.reserve(std::min(wanted, segment_.ring()), room) == RingStatus::ok;
    if (!fits) {
      if (const ferry_status status = reserve(1, room, deadline_ns); status != FERRY_OK) return status;
    }
  }
  std::uint64_t done = 0;
  for (std::uint32_t i = 0; i < count && done < room.size(); ++i) {
    const auto* const data = static_cast<const std::byte*>(pieces[i].data);
    for (std::uint64_t copied = 0; copied < pieces[i].size && done < room.size();) {
      const std::uint64_t part = std::min({pieces[i].size - copied, room.size() - done, part_bytes});
      std::memcpy(room.data() + done, data + copied, part);
      writer_.fill(part);
      if (writer_.unpublished() >= part_bytes) publish_held();
      copied += part;
      done += part;
    }
  }
  if ((flags & FERRY_WRITE_MORE) == 0) publish_held();
  return static_cast<std::int64_t>(done);
}

// ------------------------------------------------------------------------------------------------------------- life

void ShmConnection::end_output(std::uint32_t mark) noexcept {
  if (!std::exchange(output_ended_, true)) wake_reader(writer_.end(mark));
}

ferry_status ShmConnection::shutdown_write() noexcept {
  if (output_ended_) return FERRY_OK;
  publish_held();
  end_output(mark_ended);
  return gone_.load(std::memory_order_relaxed);
}

void ShmConnection::abort_now() noexcept {
  output_ended_ = true;
  wake_reader(writer_.end(mark_reset));
}

void ShmConnection::describe(ferry_connection_info& info) const noexcept {
  info.frame_alignment = 8;  // rings start aligned, and positions keep that
  info.max_view = max_view();
  plugin::copy_address(info.local_address, local_address_);
  plugin::copy_address(info.peer_address, peer_address_);
}

void ShmConnection::effective(ferry_value* values, std::uint32_t count) const noexcept {
  std::fill_n(values, count, ferry_value{});
  fill_granted(segment_, values, count);
}

std::int32_t ShmConnection::statistics(ferry_statistic* figures, std::uint32_t capacity) const noexcept {
  const auto as_figure = [](const Counter& counter) { return static_cast<std::int64_t>(counter.value()); };
  const RingCounters& in = reader_.counters();
  const RingCounters& out = writer_.counters();
  const ferry_statistic all[] = {
      {"reads", "", as_figure(in.publishes)},      {"read_sleeps", "", as_figure(in.sleeps)},
      {"writers_woken", "", as_figure(in.wakes)},  {"writes", "", as_figure(out.publishes)},
      {"write_sleeps", "", as_figure(out.sleeps)}, {"readers_woken", "", as_figure(out.wakes)},
  };
  std::copy_n(all, std::min<std::size_t>(capacity, std::size(all)), figures);
  return static_cast<std::int32_t>(std::size(all));
}

const void* ShmConnection::extension(std::string_view id) noexcept {
  static constexpr ferry_lend lend{
      sizeof(ferry_lend),
      0,
      [](ferry_connection* connection, std::uint64_t minimum, const void** data, std::uint64_t* size,
         std::int64_t deadline_ns) noexcept -> ferry_status {
        return from(connection).look(minimum, data, size, deadline_ns);
      },
      [](ferry_connection* connection, std::uint64_t size) noexcept { from(connection).consume(size); },
      [](ferry_connection* connection, std::uint64_t minimum, void** data, std::uint64_t* size,
         std::int64_t deadline_ns) noexcept -> ferry_status {
        std::span<std::byte> room;
        const ferry_status status = from(connection).reserve(minimum, room, deadline_ns);
        *data = room.data();
        *size = room.size();
        return status;
      },
      [](ferry_connection* connection, std::uint64_t size, std::uint32_t flags) noexcept -> ferry_status {
        return from(connection).commit(size, flags);
      },
      [](ferry_connection* connection, std::uint64_t size) noexcept -> ferry_status {
        return from(connection).publish(size);
      }};
  static constexpr ferry_arm_many many{
      sizeof(ferry_arm_many), 0,
      [](ferry_connection* const* connections, std::uint32_t count, ferry_interest interest,
         std::int32_t* answers) noexcept { arm_many(connections, count, interest, answers); }};
  static constexpr ferry_peer peer{sizeof(ferry_peer), 0,
                                   [](ferry_connection* connection, ferry_credentials* out) noexcept -> ferry_status {
                                     return from(connection).credentials(*out);
                                   }};
  static constexpr ferry_statistics statistics{
      sizeof(ferry_statistics), 0,
      [](ferry_connection* connection, ferry_statistic* figures, std::uint32_t capacity) noexcept -> std::int32_t {
        return from(connection).statistics(figures, capacity);
      }};
  if (id == FERRY_EXT_LEND) return &lend;
  if (id == FERRY_EXT_ARM_MANY) return &many;
  if (id == FERRY_EXT_PEER) return &peer;
  if (id == FERRY_EXT_STATISTICS) return &statistics;
  return nullptr;
}

}  // namespace ferry::shm_spsc
