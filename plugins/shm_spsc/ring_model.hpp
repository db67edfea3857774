// An explicit-state model checker for the ring's protocol: explores every behaviour of small programs that use the real
// ring template over model::Atomic, under a memory model weaker than any machine we run on.
//
// The memory model is the view machine of the release/acquire fragment of C++20, without load buffering (a load never
// takes a value that is stored later in the exploration):
//   - Every location keeps all values ever stored. A thread has a view: per location the oldest value it may still
//   read. A
//     load may return any value from there on, so stores become visible late and out of order; a release store carries
//     its thread's view, and an acquire load of it takes the view over.
//   - seq_cst loads of a location read nothing older than its last seq_cst store.
//   - Stores that are not seq_cst may in addition be delayed past later loads, as compilers may do, until
//   light_barrier.
//   - heavy_barrier is membarrier(2): what each thread has stored becomes visible to all others.
//   - Bytes of the ring are plain memory: an access that does not happen after the other side's last one is an error.
// A state in which nobody can go on though somebody has not finished is a lost wake-up.
//
// A thread's local state is a function of what its operations returned. So threads are ordinary functions, run again
// from their start with the recorded results whenever their next operation is needed, and left by longjmp at it: they
// must own nothing that needs a destructor. Rejected: Relacy and GenMC (not in Debian), Spin (would check a copy of the
// ring).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <csetjmp>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace ferry::model {

inline constexpr std::size_t max_locations = 14;
inline constexpr std::size_t threads = 2;

/// Per location how much a thread knows, and per thread how many of its steps happened before.
using View = std::array<std::uint8_t, max_locations + threads>;

enum class Action : std::uint8_t {
  load,
  store,
  exchange,
  light_barrier,
  heavy_barrier,
  read_plain,
  write_plain,
  sleep_on_word,   // a futex: sleeps while the location holds `value`
  sleep_on_event,  // sleeps until signalled, also before
  sleep_until_raised,
  drain,  // takes what was raised
  raise,  // the other thread's signal, which stays until it is drained
  wake,   // the other thread, from either sleep; a word's sleeper that is not asleep yet misses it
  nothing,
  checkpoint,  // `value` tells all of the thread's local state: what it was told before no longer matters
  finished,
};

struct Operation {
  Action action = Action::finished;
  std::uint8_t location = 0;
  std::memory_order order = std::memory_order_relaxed;
  std::uint64_t value = 0;
  bool to_event = false;  // wake: signals the event
};

/// One execution of one thread's function, up to its first operation that has no recorded result.
struct Replay {
  const std::vector<std::uint64_t>* results = nullptr;
  std::size_t next = 0;
  std::uint8_t locations = 0;  // made so far; the same order in every replay
  Operation pending;
  const char* problem = nullptr;
  std::jmp_buf leave;

  std::uint64_t perform(const Operation& operation) {
    if (next < results->size()) return (*results)[next++];
    pending = operation;
    std::longjmp(leave, 1);
  }
};
inline Replay* replay = nullptr;

/// A claim of the program: false ends the exploration with `problem`.
inline void require(bool claim, const char* problem) {
  if (claim) return;
  replay->problem = problem;
  std::longjmp(replay->leave, 1);
}

template <class T>
class Atomic {
 public:
  Atomic() noexcept : location_(replay->locations++) {}
  T load(std::memory_order order) const noexcept {
    return static_cast<T>(replay->perform({Action::load, location_, order, 0, false}));
  }
  void store(T value, std::memory_order order) noexcept {
    replay->perform({Action::store, location_, order, value, false});
  }
  T exchange(T value, std::memory_order order) noexcept {
    return static_cast<T>(replay->perform({Action::exchange, location_, order, value, false}));
  }
  std::uint8_t location() const noexcept { return location_; }

 private:
  std::uint8_t location_;
};

/// A byte of the ring: plain memory.
class Plain {
 public:
  Plain() noexcept : location_(replay->locations++) {}
  std::uint64_t read() const { return replay->perform({Action::read_plain, location_, {}, 0, false}); }
  void write(std::uint64_t value) { replay->perform({Action::write_plain, location_, {}, value, false}); }

 private:
  std::uint8_t location_;
};

template <class T>
void sleep_on_word(const Atomic<T>& word, T value) {
  replay->perform({Action::sleep_on_word, word.location(), {}, value, false});
}
/// Either barrier, or nothing.
inline void barrier(Action action) { replay->perform({action, 0, std::memory_order_seq_cst, 0, false}); }
inline void sleep_on_event() { replay->perform({Action::sleep_on_event, 0, {}, 0, false}); }
inline void sleep_until_raised() { replay->perform({Action::sleep_until_raised, 0, {}, 0, false}); }
inline void drain() { replay->perform({Action::drain, 0, {}, 0, false}); }
inline void raise() { replay->perform({Action::raise, 0, {}, 0, false}); }
inline void checkpoint(std::uint64_t local_state) { replay->perform({Action::checkpoint, 0, {}, local_state, false}); }
inline void wake(bool to_event) { replay->perform({Action::wake, 0, {}, 0, to_event}); }

using Program = std::array<std::function<void()>, threads>;

/// Changes an operation before it is executed: how the tests break the protocol.
using Mutation = std::function<void(std::size_t thread, Operation&)>;

struct Outcome {
  std::string problem;  // empty: none exists
  std::size_t states = 0;
};

class Explorer {
 public:
  explicit Explorer(Program program, Mutation mutation = {})
      : program_(std::move(program)), mutation_(std::move(mutation)) {}

  Outcome explore() {
    stack_.push_back(State());
    while (!stack_.empty() && problem_.empty()) {
      const State state = std::move(stack_.back());
      stack_.pop_back();
      expand(state);
    }
    return {problem_, seen_.size()};
  }

 private:
  struct Message {
    std::uint64_t value = 0;
    View view{};
  };
  struct Delayed {
    std::uint8_t location;
    std::memory_order order;
    std::uint64_t value;
  };
  struct Thread {
    View view{};
    std::vector<std::uint64_t> results;
    std::size_t checkpoint = 0;  // results before it are summed up by results[checkpoint]
    std::vector<Delayed> delayed;
    View raised{};  // what the signal carries: the kernel's lock of a socket orders send and receive
    bool asleep = false;
    bool signalled = false;
    bool finished = false;
  };
  struct State {
    std::array<std::vector<Message>, max_locations> memory;
    std::array<std::uint8_t, max_locations> last_seq_cst{};
    std::array<std::array<std::uint8_t, threads>, max_locations> last_access{};  // plain memory: when, by whom
    std::array<Thread, threads> threads_{};

    State() {
      for (auto& messages : memory) messages.resize(1);
    }
  };

  void expand(const State& state) {
    std::array<Operation, threads> next;
    for (std::size_t t = 0; t < threads; ++t) {
      if (!can_run(state.threads_[t])) continue;
      next[t] = next_operation(state, t);
      if (!problem_.empty()) return;
      // What the other thread cannot notice may as well happen now: it commutes with everything.
      if (is_local(state.threads_[t], next[t])) return execute(state, t, next[t]);
    }
    bool stuck = true;
    for (std::size_t t = 0; t < threads; ++t) {
      if (!state.threads_[t].delayed.empty()) {
        stuck = false;
        State after = state;
        store_oldest(after, t);
        add(std::move(after));
      }
      if (!can_run(state.threads_[t])) continue;
      stuck = false;
      execute(state, t, next[t]);
    }
    const bool all_finished =
        std::all_of(state.threads_.begin(), state.threads_.end(), [](const Thread& t) { return t.finished; });
    if (stuck && !all_finished) problem_ = "lost wake-up";
  }

  static bool can_run(const Thread& thread) { return !thread.asleep && !thread.finished; }
  static bool is_local(const Thread& thread, const Operation& operation) {
    switch (operation.action) {
      case Action::read_plain:
      case Action::write_plain:
      case Action::nothing:
      case Action::checkpoint:
        return true;
      case Action::light_barrier:
        return thread.delayed.empty();
      case Action::store:
        return operation.order != std::memory_order_seq_cst;
      default:
        return false;
    }
  }

  /// Runs the thread's function up to its first operation without a result.
  Operation next_operation(const State& state, std::size_t t) {
    Replay run;
    run.results = &state.threads_[t].results;
    replay = &run;
    if (setjmp(run.leave) == 0) program_[t]();
    if (run.problem != nullptr) problem_ = run.problem;
    if (mutation_) mutation_(t, run.pending);
    return run.pending;
  }

  void execute(const State& state, std::size_t t, const Operation& operation) {
    if (operation.action == Action::load) return load(state, t, operation);
    State next = state;
    Thread& self = next.threads_[t];
    Thread& other = next.threads_[1 - t];
    std::uint64_t result = 0;
    switch (operation.action) {
      case Action::store:
        if (operation.order == std::memory_order_seq_cst) {
          store_all(next, t);
          store(next, t, {operation.location, operation.order, operation.value});
        } else {
          self.delayed.push_back({operation.location, operation.order, operation.value});
        }
        break;
      case Action::exchange:
        store_all(next, t);
        result = take(next, self, operation.location, next.memory[operation.location].size() - 1,
                      operation.order != std::memory_order_relaxed);
        store(next, t, {operation.location, operation.order, operation.value});
        break;
      case Action::light_barrier:
        store_all(next, t);
        break;
      case Action::heavy_barrier:
        store_all(next, t);
        join(self.view, other.view);
        join(other.view, self.view);
        break;
      case Action::read_plain:
      case Action::write_plain:
        result = access_plain(next, t, operation);
        break;
      case Action::sleep_on_word:
        store_all(next, t);
        self.asleep = next.memory[operation.location].back().value == operation.value;
        break;
      case Action::sleep_on_event:
        store_all(next, t);
        self.asleep = !std::exchange(self.signalled, false);
        break;
      case Action::sleep_until_raised:
        store_all(next, t);
        self.asleep = !self.signalled;
        break;
      case Action::drain:
        store_all(next, t);
        if (std::exchange(self.signalled, false)) join(self.view, self.raised);
        self.raised = {};
        break;
      case Action::raise:
        store_all(next, t);
        other.signalled = true;
        join(other.raised, self.view);
        other.asleep = false;
        break;
      case Action::wake:
        store_all(next, t);
        other.signalled = operation.to_event && !other.asleep;
        other.asleep = false;
        break;
      case Action::nothing:
        break;
      case Action::checkpoint:
        self.checkpoint = self.results.size();
        result = operation.value;
        break;
      default:
        store_all(next, t);
        self.finished = true;
        self.checkpoint = self.results.size();
        break;
    }
    self.results.push_back(result);
    add(std::move(next));
  }

  /// One next state for each value that the load may return.
  void load(const State& state, std::size_t t, const Operation& operation) {
    const Thread& self = state.threads_[t];
    const auto own = std::find_if(self.delayed.rbegin(), self.delayed.rend(),
                                  [&](const Delayed& store) { return store.location == operation.location; });
    if (own != self.delayed.rend()) {
      State next = state;
      next.threads_[t].results.push_back(own->value);
      return add(std::move(next));
    }
    std::size_t oldest = self.view[operation.location];
    if (operation.order == std::memory_order_seq_cst)
      oldest = std::max<std::size_t>(oldest, state.last_seq_cst[operation.location]);
    for (std::size_t i = oldest; i < state.memory[operation.location].size(); ++i) {
      State next = state;
      Thread& reader = next.threads_[t];
      const bool acquire = operation.order != std::memory_order_relaxed;
      reader.results.push_back(take(next, reader, operation.location, i, acquire));
      add(std::move(next));
    }
  }

  static std::uint64_t take(const State& state, Thread& reader, std::uint8_t location, std::size_t index,
                            bool acquire) {
    const Message& message = state.memory[location][index];
    reader.view[location] = std::max(reader.view[location], static_cast<std::uint8_t>(index));
    if (acquire) join(reader.view, message.view);
    return message.value;
  }

  static void store(State& state, std::size_t t, const Delayed& what) {
    Thread& self = state.threads_[t];
    const auto index = static_cast<std::uint8_t>(state.memory[what.location].size());
    self.view[what.location] = index;
    ++self.view[max_locations + t];
    Message message{what.value, {}};
    message.view[what.location] = index;
    if (what.order != std::memory_order_relaxed) message.view = self.view;
    state.memory[what.location].push_back(message);
    if (what.order == std::memory_order_seq_cst) state.last_seq_cst[what.location] = index;
  }
  static void store_oldest(State& state, std::size_t t) {
    auto& delayed = state.threads_[t].delayed;
    store(state, t, delayed.front());
    delayed.erase(delayed.begin());
  }
  static void store_all(State& state, std::size_t t) {
    while (!state.threads_[t].delayed.empty()) store_oldest(state, t);
  }

  std::uint64_t access_plain(State& state, std::size_t t, const Operation& operation) {
    Thread& self = state.threads_[t];
    auto& when = state.last_access[operation.location];
    if (self.view[max_locations + 1 - t] < when[1 - t]) problem_ = "data race on the ring's bytes";
    // One more than what the next release store will carry: only a view taken after that store knows of this access.
    when[t] = static_cast<std::uint8_t>(self.view[max_locations + t] + 1);
    Message& message = state.memory[operation.location].back();
    if (operation.action == Action::write_plain) message.value = operation.value;
    return message.value;
  }

  static void join(View& view, const View& other) {
    for (std::size_t i = 0; i < view.size(); ++i) view[i] = std::max(view[i], other[i]);
  }

  /// Forgets the values that no thread can read any more, so that states with different pasts become the same.
  static void forget(State& state) {
    std::array<std::uint8_t, max_locations> base{};
    for (std::size_t l = 0; l < max_locations; ++l) {
      base[l] = std::min(state.threads_[0].view[l], state.threads_[1].view[l]);
      auto& messages = state.memory[l];
      messages.erase(messages.begin(), messages.begin() + base[l]);
      state.last_seq_cst[l] = less(state.last_seq_cst[l], base[l]);
    }
    for (std::size_t l = 0; l < max_locations; ++l) {
      for (Message& message : state.memory[l]) rebase(message.view, base);
    }
    for (Thread& thread : state.threads_) rebase(thread.view, base), rebase(thread.raised, base);
  }
  static std::uint8_t less(std::uint8_t value, std::uint8_t base) {
    return static_cast<std::uint8_t>(value > base ? value - base : 0);
  }
  static void rebase(View& view, const std::array<std::uint8_t, max_locations>& base) {
    for (std::size_t l = 0; l < max_locations; ++l) view[l] = less(view[l], base[l]);
  }

  void add(State&& state) {
    forget(state);
    if (seen_.insert(fingerprint(state)).second) stack_.push_back(std::move(state));
  }

  /// 64 bits: at a million states the chance that one was taken for another is below one in ten million.
  static std::uint64_t fingerprint(const State& state) {
    std::uint64_t hash = 0;
    const auto mix = [&](std::uint64_t value) {
      hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 29;
    };
    const auto mix_bytes = [&](const auto& bytes) {
      for (const std::uint8_t byte : bytes) mix(byte);
    };
    for (const auto& messages : state.memory) {
      mix(messages.size());
      for (const Message& message : messages) mix(message.value), mix_bytes(message.view);
    }
    mix_bytes(state.last_seq_cst);
    for (const auto& when : state.last_access) mix_bytes(when);
    for (const Thread& thread : state.threads_) {
      mix_bytes(thread.view), mix_bytes(thread.raised);
      mix(thread.results.size() - thread.checkpoint);
      for (std::size_t i = thread.checkpoint; i < thread.results.size(); ++i) mix(thread.results[i]);
      mix(thread.delayed.size());
      for (const Delayed& store : thread.delayed) {
        mix(store.location), mix(static_cast<std::uint64_t>(store.order)), mix(store.value);
      }
      mix(std::uint64_t{thread.asleep} | std::uint64_t{thread.signalled} << 1 | std::uint64_t{thread.finished} << 2);
    }
    return hash;
  }

  Program program_;
  Mutation mutation_;
  std::vector<State> stack_;
  std::unordered_set<std::uint64_t> seen_;
  std::string problem_;
};

}  // namespace ferry::model
