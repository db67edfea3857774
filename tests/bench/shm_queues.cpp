// Ferry over shared memory beside well-known queues: 64-byte messages one way between two processes, each pinned to a
// processor and spinning. Rounds take turns; prints the median of each.
//   boost      boost::lockfree::spsc_queue of fixed capacity, in shared memory
//   rigtorp    a queue in the manner of rigtorp::SPSCQueue: slots, indices on cache lines of their own, each side
//              caching the other's; it has no batched form
//   ferry      Channel over shm
// Everybody copies each message out of memory whose content and size the compiler cannot see, has 2 MiB of memory
// that both processes have touched, warms up before the clock runs, and has its receiver look at the first byte of each
// message. The queues come in two kinds: of 64-byte elements, whose size both sides know beforehand; and of elements
// with a length word, as Ferry's messages have, so that they may be shorter.
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/lockfree/spsc_queue.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "ferry/channel.hpp"
#include "ferry/runtime.hpp"

namespace {

using namespace ferry;

constexpr std::size_t message_bytes = 64;
constexpr std::size_t batch = 64;

/// What a program sends; the compiler knows neither its content nor its size.
struct Source {
  std::vector<char> bytes = std::vector<char>(message_bytes, 'm');
  std::span<const char> message() const noexcept {
    const char* data = bytes.data();
    std::size_t size = bytes.size();
    asm volatile("" : "+r"(data), "+r"(size) : : "memory");
    return {data, size};
  }
};

/// An element of known size.
struct Bare {
  std::array<char, message_bytes> bytes;
  void set(std::span<const char> message) noexcept { std::memcpy(bytes.data(), message.data(), message_bytes); }
  char first() const noexcept { return bytes[0]; }
};
/// An element that says how long it is.
struct Framed {
  std::uint64_t size;
  std::array<char, message_bytes> bytes;
  void set(std::span<const char> message) noexcept {
    size = message.size();
    std::memcpy(bytes.data(), message.data(), std::min(message.size(), message_bytes));
  }
  char first() const noexcept { return size > 0 ? bytes[0] : '\0'; }
};
template <class Element>
constexpr std::size_t slots_of = (std::size_t{2} << 20) / sizeof(Element);  // as much memory as Ferry's ring

void require(bool fine, const char* what) {
  if (fine) return;
  std::perror(what);
  std::exit(1);
}

void pin_to(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(processor), &set);
  require(::sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity");
}

/// A T in memory that both processes share, and that goes with it.
template <class T>
class Shared {
 public:
  Shared() {
    void* const memory =
        ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    require(memory != MAP_FAILED, "mmap");
    value_ = new (memory) T();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() {
    value_->~T();
    ::munmap(value_, sizeof(T));
  }
  T& operator*() const noexcept { return *value_; }

 private:
  T* value_;
};

template <class Element>
class RigtorpStyle {
 public:
  bool push(std::span<const char> message) noexcept {
    const std::size_t write = write_.load(std::memory_order_relaxed);
    const std::size_t next = write + 1 == slots ? 0 : write + 1;
    if (next == read_seen_) {
      read_seen_ = read_.load(std::memory_order_acquire);  // pairs with pop
      if (next == read_seen_) return false;
    }
    elements_[write].set(message);
    write_.store(next, std::memory_order_release);  // pairs with front
    return true;
  }
  const Element* front() noexcept {
    const std::size_t read = read_.load(std::memory_order_relaxed);
    if (read == write_seen_) {
      write_seen_ = write_.load(std::memory_order_acquire);  // pairs with push
      if (read == write_seen_) return nullptr;
    }
    return &elements_[read];
  }
  void pop() noexcept {
    const std::size_t read = read_.load(std::memory_order_relaxed);
    read_.store(read + 1 == slots ? 0 : read + 1, std::memory_order_release);  // pairs with push
  }

 private:
  static constexpr std::size_t slots = slots_of<Element>;
  alignas(64) std::atomic<std::size_t> write_{0};
  alignas(64) std::size_t read_seen_ = 0;
  alignas(64) std::atomic<std::size_t> read_{0};
  alignas(64) std::size_t write_seen_ = 0;
  alignas(64) std::array<Element, slots> elements_;
};
template <class Element>
using Boost = boost::lockfree::spsc_queue<Element, boost::lockfree::capacity<slots_of<Element>>>;

/// Moves `count` messages to, or from, the other process.
using Move = std::function<void(std::uint64_t count)>;

/// Receives in a child on the second processor and sends here; returns messages per second. `make` is called once in
/// each process, with whether it sends, and owns what it needs.
double run(std::uint64_t messages, const std::function<Move(bool sends)>& make) {
  std::fflush(stdout);
  struct Progress {
    std::atomic<unsigned> receiver{0};  // 1: ready, 2: warm, 3: done
    std::atomic<bool> warm{false};      // the sender has seen the 2
  };
  Shared<Progress> progress;
  const std::uint64_t warm_up = messages / 8 + 1;
  const auto until = [&](auto reached) {
    while (!reached()) SpinMachine::relax();
  };
  const pid_t child = ::fork();
  require(child >= 0, "fork");
  if (child == 0) {
    pin_to(1);
    const Move receive = make(false);
    (*progress).receiver.store(1);
    receive(warm_up);
    (*progress).receiver.store(2);
    until([&] { return (*progress).warm.load(); });
    receive(messages);
    (*progress).receiver.store(3);
    ::_exit(0);
  }
  const Move send = make(true);
  until([&] { return (*progress).receiver.load() >= 1; });
  send(warm_up);
  until([&] { return (*progress).receiver.load() >= 2; });
  (*progress).warm.store(true);
  const auto start = std::chrono::steady_clock::now();
  send(messages);
  until([&] { return (*progress).receiver.load() >= 3; });
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  int status = 0;
  require(::waitpid(child, &status, 0) == child && status == 0, "receiving process");
  return static_cast<double>(messages) / elapsed.count();
}

volatile char touched;

template <class Element>
double boost_queue(std::uint64_t messages, bool many) {
  const auto queue = std::make_shared<Shared<Boost<Element>>>();
  const auto send_one = [queue, source = Source()](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      Element element;
      element.set(source.message());
      while (!(**queue).push(element)) SpinMachine::relax();
    }
  };
  const auto send_many = [queue, source = Source()](std::uint64_t count) {
    std::vector<Element> together(batch);
    for (std::uint64_t left = count; left > 0;) {
      for (Element& element : together) element.set(source.message());
      const std::size_t all = std::min(left, std::uint64_t{batch});
      for (std::size_t pushed = 0; pushed < all;) {
        pushed += (**queue).push(together.data() + pushed, all - pushed);
      }
      left -= all;
    }
  };
  const auto receive = [queue](std::uint64_t count) {
    for (std::uint64_t left = count; left > 0;) {
      const std::size_t received = (**queue).consume_all([](const Element& got) { touched = got.first(); });
      if (received == 0) SpinMachine::relax();
      left -= received;
    }
  };
  return run(messages, [&](bool sends) -> Move {
    if (!sends) return receive;
    return many ? Move(send_many) : Move(send_one);
  });
}

template <class Element>
double rigtorp_queue(std::uint64_t messages) {
  const auto queue = std::make_shared<Shared<RigtorpStyle<Element>>>();
  const auto send = [queue, source = Source()](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      while (!(**queue).push(source.message())) SpinMachine::relax();
    }
  };
  const auto receive = [queue](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const Element* got = nullptr;
      while ((got = (**queue).front()) == nullptr) SpinMachine::relax();
      touched = got->first();
      (**queue).pop();
    }
  };
  return run(messages, [&](bool sends) { return sends ? Move(send) : Move(receive); });
}

double ferry_channel(Runtime& runtime, const std::string& descriptor, std::uint64_t messages, bool many) {
  const auto listener = std::make_shared<Listener>(runtime.listen(descriptor));
  const auto fine = [](Status status) { require(status == Status::ok, "channel"); };
  const auto sender = [&] {
    const auto channel = std::make_shared<Channel>(listener->accept());
    const auto one = [channel, fine, source = Source()](std::uint64_t count) {
      for (std::uint64_t i = 0; i < count; ++i) fine(channel->try_send(std::as_bytes(source.message())));
    };
    const auto batched = [channel, fine, source = Source()](std::uint64_t count) {
      const std::vector<ConstBytes> together(batch, std::as_bytes(source.message()));
      for (std::uint64_t left = count; left > 0;) {
        std::size_t sent = 0;
        fine(channel->send_many(std::span(together).first(std::min(left, std::uint64_t{batch})), sent));
        left -= sent;
      }
    };
    return many ? Move(batched) : Move(one);
  };
  const auto receiver = [&] {
    const auto channel = std::make_shared<Channel>(runtime.connect_stream(descriptor, std::chrono::seconds(10)));
    return Move([channel, fine](std::uint64_t count) {
      std::vector<ConstBytes> got(batch);
      for (std::uint64_t left = count; left > 0;) {
        std::size_t received = 0;
        fine(channel->receive_many(std::span(got).first(std::min(left, std::uint64_t{batch})), received));
        for (std::size_t i = 0; i < received; ++i) touched = static_cast<char>(got[i].front());
        left -= received;
      }
    });
  };
  return run(messages, [&](bool sends) { return sends ? sender() : receiver(); });
}

}  // namespace

int main(int argc, char** argv) {
  host::Program program("Ferry over shared memory beside boost::lockfree::spsc_queue and a queue like rigtorp's");
  std::string plugin_dir = FERRY_PLUGIN_DIR;
  std::uint64_t messages = 20'000'000;
  unsigned rounds = 5;
  program.option("--plugin-dir", plugin_dir).show_default();
  program.option("--messages", messages, "Per round").show_default();
  program.option("--rounds", rounds).show_default();
  if (const auto code = program.parse(argc, argv)) return *code;

  pin_to(0);
  std::string directory = "/tmp/ferry-queues-XXXXXX";
  require(::mkdtemp(directory.data()) != nullptr, "mkdtemp");
  const std::string descriptor = "shm://" + directory + "/queue.sock?spin=1s&pretouch=true";
  Config config;
  config.plugins.plugin_dirs = {plugin_dir};
  Runtime runtime(std::move(config));
  struct Rig {
    const char* name;
    std::function<double()> measure;
    std::vector<double> values;
  };
  std::vector<Rig> rigs = {
      {"boost, one push each", [&] { return boost_queue<Bare>(messages, false); }, {}},
      {"rigtorp, one push each", [&] { return rigtorp_queue<Bare>(messages); }, {}},
      {"boost with a length, one push each", [&] { return boost_queue<Framed>(messages, false); }, {}},
      {"rigtorp with a length, one push each", [&] { return rigtorp_queue<Framed>(messages); }, {}},
      {"ferry, one send each", [&] { return ferry_channel(runtime, descriptor, messages, false); }, {}},
      {"boost, 64 a push", [&] { return boost_queue<Bare>(messages, true); }, {}},
      {"boost with a length, 64 a push", [&] { return boost_queue<Framed>(messages, true); }, {}},
      {"ferry, 64 a send_many", [&] { return ferry_channel(runtime, descriptor, messages, true); }, {}},
  };
  for (unsigned i = 0; i < rounds; ++i) {
    for (Rig& rig : rigs) rig.values.push_back(rig.measure());
  }
  for (Rig& rig : rigs) {
    std::sort(rig.values.begin(), rig.values.end());
    std::printf("%-38s %7.1f M messages/s\n", rig.name, rig.values[rig.values.size() / 2] / 1e6);
  }
  ::rmdir(directory.c_str());
  return 0;
}
