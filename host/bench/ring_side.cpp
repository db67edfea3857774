// Bare rings for `ferry bench --baseline shm`. Written the way a careful programmer would who knows beforehand that
// nothing goes wrong: no handshake, no validation, no end of stream, sizes of frames that fit. Each frame is an 8-byte
// length word and the payload, in the 2 MiB ring that Ferry makes by default, mapped twice in a row.
//
//   head/tail   positions on cache lines of their own, each side caching the other's; a batch is one store of the tail
//   in-band     the length word says that the frame is there: it is stored last, after a zero where the next one will
//               come to stand, so that one line moves where head/tail needs two. The head is stored an eighth of the
//               ring at a time
//   cache line  no ring: one word there and back, what the processor does at most
//   futex       no ring: one word, stored, woken and slept for
#include "bench/ring_side.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <system_error>
#include <utility>

#include "ferry/deadline.hpp"
#include "ferry/wait_policy.hpp"

namespace ferry::bench {
namespace {

constexpr const char* head_tail = "head/tail ring";
constexpr const char* in_band = "in-band ring";
constexpr const char* cache_line = "cache line";
constexpr const char* bare_futex = "futex";

constexpr std::size_t capacity = std::size_t{2} << 20;
constexpr std::size_t header_bytes = 4096;
constexpr std::size_t word_bytes = 8;
constexpr std::uint64_t messages_per_publish = 64;  // of a batch: more gain nothing, and delay the reader
constexpr std::size_t part_bytes = std::size_t{64} << 10;

[[noreturn]] void fail(const char* call) {
  throw std::system_error(errno, std::generic_category(), std::string("bare ring: ") + call);
}

/// Sleeping until the other side has changed something.
class Sleeper {
 public:
  void wake() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_relaxed) != 0) wake_now();
  }
  void wake_now() noexcept {
    asleep_.store(0, std::memory_order_relaxed);
    ::syscall(SYS_futex, &asleep_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
  template <class Ready>
  void sleep_until(Ready ready) noexcept {
    while (!ready()) {
      asleep_.store(1, std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (ready()) break;
      ::syscall(SYS_futex, &asleep_, FUTEX_WAIT, 1, nullptr, nullptr, 0);
    }
    asleep_.store(0, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint32_t> asleep_;
};

/// One direction, in zeroed shared memory.
struct Control {
  alignas(128) std::atomic<std::uint64_t> tail;
  alignas(128) std::atomic<std::uint64_t> head;
  alignas(128) Sleeper reader;
  alignas(128) Sleeper writer;
};
static_assert(2 * sizeof(Control) <= header_bytes);

/// Both directions: the controls, then each ring's bytes mapped twice in a row. Keeps the file open: its address is in
/// use until the other process has opened it as well.
class Mapping {
 public:
  explicit Mapping(int fd) : fd_(fd) {
    constexpr std::size_t size = header_bytes + 4 * capacity;
    void* const all = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) fail("mmap");
    begin_ = static_cast<char*>(all);
    place(fd, 0, header_bytes, 0);
    for (const std::size_t ring : {0u, 1u}) {
      for (const std::size_t half : {0u, 1u})
        place(fd, header_bytes + (2 * ring + half) * capacity, capacity, header_bytes + ring * capacity);
    }
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    ::munmap(begin_, header_bytes + 4 * capacity);
    ::close(fd_);
  }
  Control& control(std::size_t ring) noexcept { return reinterpret_cast<Control*>(begin_)[ring]; }
  char* bytes(std::size_t ring) noexcept { return begin_ + header_bytes + 2 * ring * capacity; }

 private:
  void place(int fd, std::size_t at, std::size_t size, std::size_t offset) {
    const int flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
    if (::mmap(begin_ + at, size, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset)) == MAP_FAILED) {
      const int reason = errno;
      ::munmap(begin_, header_bytes + 4 * capacity);
      errno = reason;
      fail("mmap");
    }
  }
  int fd_;
  char* begin_;
};

struct Direction {
  Control& control;
  char* bytes;
  bool spinning;

  char* at(std::uint64_t position) const noexcept { return bytes + (position & (capacity - 1)); }
  template <class Ready>
  void wait(Sleeper& sleeper, Ready ready) const noexcept {
    if (!spinning) return sleeper.sleep_until(ready);
    while (!ready()) SpinMachine::relax();
  }
};

constexpr std::uint64_t frame_bytes(std::uint64_t size) { return word_bytes + (size + 7) / 8 * 8; }

class HeadTailWriter {
 public:
  explicit HeadTailWriter(Direction direction) : to_(direction) {}
  void put(const char* message, std::uint64_t size) noexcept {
    char* const frame = room(frame_bytes(size));
    std::memcpy(frame, &size, word_bytes);
    std::memcpy(frame + word_bytes, message, size);
    tail_ += frame_bytes(size);
  }
  /// Bytes without a frame.
  void put_part(const char* bytes, std::uint64_t size) noexcept {
    std::memcpy(room(size), bytes, size);
    tail_ += size;
  }
  void publish() noexcept {
    to_.control.tail.store(tail_, std::memory_order_release);  // pairs with HeadTailReader::available
    if (!to_.spinning) to_.control.reader.wake();
  }

 private:
  char* room(std::uint64_t bytes) noexcept {
    if (tail_ + bytes - head_ > capacity) {
      publish();
      to_.wait(to_.control.writer, [&] {
        head_ = to_.control.head.load(std::memory_order_acquire);  // pairs with HeadTailReader::done
        return tail_ + bytes - head_ <= capacity;
      });
    }
    return to_.at(tail_);
  }
  Direction to_;
  std::uint64_t tail_ = 0;
  std::uint64_t head_ = 0;
};

class HeadTailReader {
 public:
  explicit HeadTailReader(Direction direction) : from_(direction) {}
  const char* get() noexcept {
    (void)available();
    return from_.at(head_) + word_bytes;
  }
  std::uint64_t available() noexcept {
    if (tail_ == head_) {
      from_.wait(from_.control.reader, [&] {
        tail_ = from_.control.tail.load(std::memory_order_acquire);  // pairs with HeadTailWriter::publish
        return tail_ != head_;
      });
    }
    return tail_ - head_;
  }
  const char* view() const noexcept { return from_.at(head_); }
  void done(std::uint64_t bytes) noexcept {
    head_ += bytes;
    from_.control.head.store(head_, std::memory_order_release);  // pairs with HeadTailWriter::room
    if (!from_.spinning) from_.control.writer.wake();
  }

 private:
  Direction from_;
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;
};

std::atomic_ref<std::uint64_t> word_at(char* place) {
  return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(place));
}

class InBandWriter {
 public:
  explicit InBandWriter(Direction direction) : to_(direction) {}
  void put(const char* message, std::uint64_t size) noexcept {
    const std::uint64_t bytes = frame_bytes(size);
    if (tail_ + bytes + word_bytes - head_ > capacity) {
      to_.wait(to_.control.writer, [&] {
        head_ = to_.control.head.load(std::memory_order_acquire);  // pairs with InBandReader::done
        return tail_ + bytes + word_bytes - head_ <= capacity;
      });
    }
    char* const frame = to_.at(tail_);
    word_at(frame + bytes).store(0, std::memory_order_relaxed);
    std::memcpy(frame + word_bytes, message, size);
    word_at(frame).store(size | present, std::memory_order_release);  // pairs with InBandReader::get
    tail_ += bytes;
    if (!to_.spinning) to_.control.reader.wake();
  }
  void publish() noexcept {}
  static constexpr std::uint64_t present = std::uint64_t{1} << 63;

 private:
  Direction to_;
  std::uint64_t tail_ = 0;
  std::uint64_t head_ = 0;
};

class InBandReader {
 public:
  explicit InBandReader(Direction direction) : from_(direction) {}
  const char* get() noexcept {
    char* const frame = from_.at(head_);
    from_.wait(from_.control.reader, [&] {
      return word_at(frame).load(std::memory_order_acquire) != 0;  // pairs with InBandWriter::put
    });
    return frame + word_bytes;
  }
  void done(std::uint64_t bytes) noexcept {
    head_ += bytes;
    if (head_ - published_ < capacity / 8) return;
    published_ = head_;
    from_.control.head.store(head_, std::memory_order_release);  // pairs with InBandWriter::put
    if (!from_.spinning) from_.control.writer.wake();
  }

 private:
  Direction from_;
  std::uint64_t head_ = 0;
  std::uint64_t published_ = 0;
};

/// No ring: each `put` is one more.
class WordWriter {
 public:
  explicit WordWriter(Direction direction) : to_(direction) {}
  void put(const char*, std::uint64_t) noexcept {
    to_.control.tail.store(++sent_, std::memory_order_release);  // pairs with WordReader::get
    if (!to_.spinning) to_.control.reader.wake_now();
  }
  void publish() noexcept {}

 private:
  Direction to_;
  std::uint64_t sent_ = 0;
};
class WordReader {
 public:
  explicit WordReader(Direction direction) : from_(direction) {}
  const char* get() noexcept {
    ++seen_;
    from_.wait(from_.control.reader, [&] {
      return from_.control.tail.load(std::memory_order_acquire) >= seen_;  // pairs with WordWriter::put
    });
    return from_.bytes;
  }
  void done(std::uint64_t) noexcept {}

 private:
  Direction from_;
  std::uint64_t seen_ = 0;
};

/// @tparam Writer, Reader  of the above
template <class Writer, class Reader>
class RingSide final : public Side {
 public:
  /// @param out  the ring that this side writes
  RingSide(std::unique_ptr<Mapping> mapping, std::size_t out, bool spinning)
      : mapping_(std::move(mapping)),
        writer_({mapping_->control(out), mapping_->bytes(out), spinning}),
        reader_({mapping_->control(1 - out), mapping_->bytes(1 - out), spinning}) {}

  void lead(const Round& round, std::vector<std::int64_t>* latencies) override {
    message_.assign(round.size, 'm');
    if (round.measure == Measure::ping_pong) return ping(round, latencies);
    if (round.measure == Measure::bulk) {
      for (std::uint64_t i = 0; i < round.count; ++i) send_parts(round.size);
    } else {
      const std::uint64_t batch = round.measure == Measure::one_way_batched ? messages_per_publish : 1;
      for (std::uint64_t left = round.count; left > 0;) {
        const std::uint64_t together = std::min(left, batch);
        for (std::uint64_t i = 0; i < together; ++i) writer_.put(message_.data(), round.size);
        writer_.publish();
        left -= together;
      }
    }
    receive(1);
  }

  void follow(const Round& round) override {
    message_.assign(round.size, 'm');
    if (round.measure == Measure::bulk) {
      for (std::uint64_t i = 0; i < round.count; ++i) receive_parts(round.size);
    } else {
      for (std::uint64_t i = 0; i < round.count; ++i) {
        const char* const message = reader_.get();
        if (round.measure == Measure::ping_pong) {
          writer_.put(message, round.size);
          writer_.publish();
        } else {
          touched_ += static_cast<unsigned char>(*message);
        }
        reader_.done(frame_bytes(round.size));
      }
    }
    if (round.measure == Measure::ping_pong) return;
    writer_.put(message_.data(), 1);
    writer_.publish();
  }

 private:
  void ping(const Round& round, std::vector<std::int64_t>* latencies) {
    std::int64_t before = monotonic_now_ns();
    for (std::uint64_t i = 0; i < round.count; ++i) {
      writer_.put(message_.data(), round.size);
      writer_.publish();
      receive(round.size);
      const std::int64_t after = monotonic_now_ns();
      if (latencies != nullptr) latencies->push_back(after - before);
      before = after;
    }
  }
  void receive(std::uint64_t size) {
    touched_ += static_cast<unsigned char>(*reader_.get());
    reader_.done(frame_bytes(size));
  }
  /// A large message, part by part: the other side takes the first while we copy the next.
  void send_parts(std::uint64_t size) {
    if constexpr (requires { writer_.put_part(nullptr, 0); }) {
      for (std::uint64_t done = 0; done < size; done += part_bytes) {
        writer_.put_part(message_.data() + done, std::min<std::uint64_t>(part_bytes, size - done));
        writer_.publish();
      }
    }
  }
  void receive_parts(std::uint64_t size) {
    if constexpr (requires { reader_.view(); }) {
      for (std::uint64_t left = size; left > 0;) {
        const std::uint64_t part = std::min(left, reader_.available());
        if (left == size) touched_ += static_cast<unsigned char>(*reader_.view());
        reader_.done(part);
        left -= part;
      }
    }
  }

  std::unique_ptr<Mapping> mapping_;
  alignas(128) Writer writer_;
  alignas(128) Reader reader_;
  std::vector<char> message_;
  std::uint64_t touched_ = 0;
};

std::unique_ptr<Side> make_side(const std::string& name, int fd, std::size_t out, bool spinning) {
  auto mapping = std::make_unique<Mapping>(fd);
  if (name == head_tail)
    return std::make_unique<RingSide<HeadTailWriter, HeadTailReader>>(std::move(mapping), out, spinning);
  if (name == in_band) return std::make_unique<RingSide<InBandWriter, InBandReader>>(std::move(mapping), out, spinning);
  return std::make_unique<RingSide<WordWriter, WordReader>>(std::move(mapping), out, spinning);
}

}  // namespace

std::vector<std::string> ring_sides(Measure measure, bool spinning) {
  switch (measure) {
    case Measure::ping_pong:
      return {head_tail, in_band, spinning ? cache_line : bare_futex};
    case Measure::bulk:
      return {head_tail};
    default:
      return {head_tail, in_band};
  }
}

bool is_ring_side(const std::string& name) { return name == head_tail || name == in_band || is_bound(name); }

bool is_bound(const std::string& name) { return name == cache_line || name == bare_futex; }

RingListener::RingListener(const std::string& name) : name_(name), fd_(::memfd_create("ferry-bench", MFD_CLOEXEC)) {
  if (fd_ < 0) fail("memfd_create");
  if (::ftruncate(fd_, header_bytes + 2 * capacity) == 0) return;
  ::close(fd_);
  fail("ftruncate");
}

RingListener::~RingListener() {
  if (fd_ >= 0) ::close(fd_);
}

std::string RingListener::address() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_);
}

std::unique_ptr<Side> RingListener::accept(bool spinning) {
  return make_side(name_, std::exchange(fd_, -1), 1, spinning);
}

std::unique_ptr<Side> ring_connect(const std::string& name, const std::string& address, bool spinning) {
  const int fd = ::open(address.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) fail("open");
  return make_side(name, fd, 0, spinning);
}

}  // namespace ferry::bench
