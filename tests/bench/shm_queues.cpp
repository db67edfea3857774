// Ferry over shared memory beside well-known queues: 64-byte messages one way between two processes, each pinned to a
// processor and spinning. Rounds take turns; prints the median of each.
//   boost      boost::lockfree::spsc_queue of fixed capacity, in shared memory
//   rigtorp    a queue in the manner of rigtorp::SPSCQueue: slots, indices on cache lines of their own, each side
//   caching
//              the other's
//   ferry      Channel over shm
// The two queues move 64-byte elements of a type known beforehand; Ferry moves framed messages, received as views.
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
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "ferry/channel.hpp"
#include "ferry/runtime.hpp"

namespace {

using namespace ferry;

using Message = std::array<char, 64>;
constexpr std::size_t slots = (std::size_t{2} << 20) / sizeof(Message);  // as much memory as Ferry's ring
constexpr std::size_t batch = 64;

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

class RigtorpStyle {
 public:
  bool push(const Message& message) noexcept {
    const std::size_t write = write_.load(std::memory_order_relaxed);
    const std::size_t next = write + 1 == slots ? 0 : write + 1;
    if (next == read_seen_) {
      read_seen_ = read_.load(std::memory_order_acquire);  // pairs with pop
      if (next == read_seen_) return false;
    }
    messages_[write] = message;
    write_.store(next, std::memory_order_release);  // pairs with front
    return true;
  }
  const Message* front() noexcept {
    const std::size_t read = read_.load(std::memory_order_relaxed);
    if (read == write_seen_) {
      write_seen_ = write_.load(std::memory_order_acquire);  // pairs with push
      if (read == write_seen_) return nullptr;
    }
    return &messages_[read];
  }
  void pop() noexcept {
    const std::size_t read = read_.load(std::memory_order_relaxed);
    read_.store(read + 1 == slots ? 0 : read + 1, std::memory_order_release);  // pairs with push
  }

 private:
  alignas(64) std::atomic<std::size_t> write_{0};
  alignas(64) std::size_t read_seen_ = 0;
  alignas(64) std::atomic<std::size_t> read_{0};
  alignas(64) std::size_t write_seen_ = 0;
  alignas(64) std::array<Message, slots> messages_;
};
using Boost = boost::lockfree::spsc_queue<Message, boost::lockfree::capacity<slots>>;

/// Runs `receive` in a child on the second processor and `send` here; returns messages per second until the child ends.
double run(std::uint64_t messages, const std::function<void()>& send, const std::function<void()>& receive) {
  std::fflush(stdout);
  Shared<std::atomic<bool>> ready;
  const pid_t child = ::fork();
  require(child >= 0, "fork");
  if (child == 0) {
    pin_to(1);
    (*ready).store(true);
    receive();
    ::_exit(0);
  }
  while (!(*ready).load()) SpinMachine::relax();
  const auto start = std::chrono::steady_clock::now();
  send();
  int status = 0;
  require(::waitpid(child, &status, 0) == child && status == 0, "receiving process");
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return static_cast<double>(messages) / elapsed.count();
}

volatile char touched;

double boost_one(std::uint64_t messages) {
  Shared<Boost> queue;
  const Message message{'m'};
  return run(
      messages,
      [&] {
        for (std::uint64_t i = 0; i < messages; ++i) {
          while (!(*queue).push(message)) SpinMachine::relax();
        }
      },
      [&] {
        for (std::uint64_t left = messages; left > 0;) {
          left -= (*queue).consume_all([](const Message& got) { touched = got[0]; });
        }
      });
}

double boost_many(std::uint64_t messages) {
  Shared<Boost> queue;
  const std::vector<Message> together(batch, Message{'m'});
  return run(
      messages,
      [&] {
        for (std::uint64_t left = messages; left > 0;)
          left -= (*queue).push(together.data(), std::min<std::uint64_t>(left, batch));
      },
      [&] {
        for (std::uint64_t left = messages; left > 0;) {
          left -= (*queue).consume_all([](const Message& got) { touched = got[0]; });
        }
      });
}

double rigtorp_one(std::uint64_t messages) {
  Shared<RigtorpStyle> queue;
  const Message message{'m'};
  return run(
      messages,
      [&] {
        for (std::uint64_t i = 0; i < messages; ++i) {
          while (!(*queue).push(message)) SpinMachine::relax();
        }
      },
      [&] {
        for (std::uint64_t i = 0; i < messages; ++i) {
          const Message* got = nullptr;
          while ((got = (*queue).front()) == nullptr) SpinMachine::relax();
          touched = (*got)[0];
          (*queue).pop();
        }
      });
}

double ferry_channel(Runtime& runtime, const std::string& descriptor, std::uint64_t messages, bool many) {
  Listener listener = runtime.listen(descriptor);
  const std::vector<std::byte> message(sizeof(Message), std::byte{'m'});
  const std::vector<ConstBytes> together(batch, ConstBytes(message));
  const auto fine = [](Status status) { require(status == Status::ok, "channel"); };
  return run(
      messages,
      [&] {
        Channel channel(listener.accept());
        for (std::uint64_t left = messages; left > 0;) {
          std::size_t sent = 1;
          if (many) {
            fine(channel.send_many(std::span(together).first(std::min<std::uint64_t>(left, batch)), sent));
          } else {
            fine(channel.try_send(message));
          }
          left -= sent;
        }
        ConstBytes acknowledgement;
        fine(channel.receive_view(acknowledgement));
      },
      [&] {
        Channel channel(runtime.connect_stream(descriptor, std::chrono::seconds(10)));
        std::vector<ConstBytes> got(batch);
        for (std::uint64_t left = messages; left > 0;) {
          std::size_t received = 0;
          fine(channel.receive_many(got, received));
          for (std::size_t i = 0; i < received; ++i) touched = static_cast<char>(got[i].front());
          left -= received;
        }
        fine(channel.try_send(message));
        (void)channel.close();
      });
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
  const std::string descriptor = "shm://" + directory + "/queue.sock?spin=1s";
  Config config;
  config.plugins.plugin_dirs = {plugin_dir};
  Runtime runtime(std::move(config));
  struct Rig {
    const char* name;
    std::function<double()> measure;
    std::vector<double> values;
  };
  std::vector<Rig> rigs = {
      {"boost, one push each", [&] { return boost_one(messages); }, {}},
      {"boost, 64 a push", [&] { return boost_many(messages); }, {}},
      {"rigtorp, one push each", [&] { return rigtorp_one(messages); }, {}},
      {"ferry, one send each", [&] { return ferry_channel(runtime, descriptor, messages, false); }, {}},
      {"ferry, 64 a send_many", [&] { return ferry_channel(runtime, descriptor, messages, true); }, {}},
  };
  for (unsigned i = 0; i < rounds; ++i) {
    for (Rig& rig : rigs) rig.values.push_back(rig.measure());
  }
  for (Rig& rig : rigs) {
    std::sort(rig.values.begin(), rig.values.end());
    std::printf("%-24s %7.1f M messages/s\n", rig.name, rig.values[rig.values.size() / 2] / 1e6);
  }
  ::rmdir(directory.c_str());
  return 0;
}
