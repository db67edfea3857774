// How long a blocked call spins before it sleeps; the same for every transport and both planes.
//
// A sleeping core costs tens of microseconds to wake, so a wait that ends soon is cheaper spun through. A wait that
// does not, or a processor that others need, makes spinning a loss. `auto` learns which it is from how its own spins
// end:
//   found       the wait was short: go on spinning
//   too long    nothing came within the budget: after two such waits in a row, sleep at once for the next 4, 8, … 64
//   contended   time was missing between two looks at the clock, because somebody else ran on this processor (the spin
//               offers it by yielding): sleep at once for the next 8, 16, … 4096 waits
//
// Counting waits rather than time keeps the clock out of every wait that sleeps at once. Rejected: an average of past
// waits, which one pause between two bursts spoils, and which needs the clock at each wait.
//
// After a wait that was over in no time the next one begins with attempts that follow each other closely. Where waits
// are longer that would take cache lines from the other side before it has written to them: 80 instead of 108 M
// messages/s in batches over shared memory on a Zen 5 whose processors are far apart.
//
//   if (wait.sleeps_at_once()) return blocking_call();
//   if (non_blocking_call()) return;
//   if (!wait.spin(deadline, non_blocking_call)) return blocking_call();
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "ferry/abi.h"
#include "ferry/deadline.hpp"

namespace ferry {

/// What spinning needs of the machine.
struct SpinMachine {
  static std::int64_t now_ns() noexcept { return monotonic_now_ns(); }
  /// Offers the processor to whoever waits for it.
  static void yield() noexcept;
  /// Tells the processor that this is a spin loop; its sibling thread runs the faster.
  static void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  /// For a wait that is likely to end at once. On AMD's processors it is lfence: it takes 4 ns, where a pause takes a
  /// Zen 5 24 ns and a cache line from a processor near by 50, and keeps an attempt's loads from being made before the
  /// last one's have ended. A ping-pong over shared memory then takes 0.11 us, with pauses 0.13, with neither 0.16.
  static void relax_briefly() noexcept {
#if defined(__x86_64__)
    if (__builtin_cpu_is("amd") != 0) {
      __builtin_ia32_lfence();
      return;
    }
#endif
    relax();
  }
};

/// `spin` = off, a bound ("20us"), or auto. A value type; each direction of a connection owns one.
/// Not thread safe: it belongs to the one reader or the one writer.
class WaitPolicy {
 public:
  enum class Mode : std::uint8_t { off, bounded, automatic };

  static constexpr std::int64_t automatic_budget_ns = 100'000;  // about two wake-ups of a halted core
  static constexpr std::int64_t automatic_check_ns = 4'000;     // between two looks at the clock
  static constexpr std::int64_t bounded_check_ns = 1'000;       // the same; a bound is overshot by up to three
  static constexpr std::uint32_t brief_attempts = 16;           // at most, at the beginning of a wait
  static constexpr std::uint32_t few_attempts = 8;              // with pauses; a wait of no more was short
  static constexpr std::int64_t contended_gap_ns = 50'000;      // more than any attempt and an idle yield take
  static constexpr std::uint32_t long_waits_skip_limit = 64;    // at most 100 us of spinning in 64 long waits
  static constexpr std::uint32_t contended_skip_limit = 4096;
  static constexpr std::uint32_t calm_spins = 1024;  // found in a row: contention is over

  WaitPolicy() = default;  // automatic
  WaitPolicy(Mode mode, std::int64_t bound_ns) noexcept : mode_(mode), bound_ns_(bound_ns) {}
  /// Parses the option's text; returns false and sets `problem`.
  static bool parse(std::string_view text, WaitPolicy& policy, std::string& problem);

  Mode mode() const noexcept { return mode_; }
  std::int64_t bound_ns() const noexcept { return bound_ns_; }

  /// True when this wait should go straight to the blocking call, without even an attempt. Ask once per wait.
  bool sleeps_at_once() noexcept {
    if (mode_ == Mode::off) return true;
    if (skip_ == 0) return false;
    --skip_;
    return true;
  }

  /// Calls `attempt()` (true: it has a result) until it succeeds or the budget or `deadline_ns` is used up; to be
  /// called when a first attempt has found nothing. False: the caller should arm and sleep.
  template <class Attempt>
  bool spin(std::int64_t deadline_ns, Attempt&& attempt) {
    return spin_on(SpinMachine(), deadline_ns, attempt);
  }
  /// The same on a given machine, for tests.
  template <class Machine, class Attempt>
  bool spin_on(Machine&& machine, std::int64_t deadline_ns, Attempt&& attempt);

 private:
  void found() noexcept;
  void too_long() noexcept;
  void contended() noexcept;

  Mode mode_ = Mode::automatic;
  std::int64_t bound_ns_ = 0;
  std::uint32_t stride_ = 4;       // attempts between two looks at the clock; follows how long an attempt takes
  std::uint32_t skip_ = 0;         // waits to come that sleep at once
  std::uint32_t long_waits_ = 0;   // in a row
  std::uint32_t contentions_ = 0;  // exponent of the next skip
  std::uint32_t found_in_a_row_ = 0;
  bool was_short_ = false;  // the last wait, so the next one begins with brief attempts
};

template <class Machine, class Attempt>
bool WaitPolicy::spin_on(Machine&& machine, std::int64_t deadline_ns, Attempt&& attempt) {
  if (mode_ == Mode::off || deadline_ns == FERRY_NO_WAIT) return false;
  const bool automatic = mode_ == Mode::automatic;
  const std::int64_t check_ns = automatic ? automatic_check_ns : bounded_check_ns;
  // How many of at most `most` attempts were in vain.
  const auto attempts_in_vain = [&](std::uint32_t most, auto relax) {
    std::uint32_t in_vain = 0;
    for (; in_vain < most; ++in_vain) {
      relax();
      if (attempt()) break;
    }
    return in_vain;
  };
  const auto relax = [&] { machine.relax(); };
  if (was_short_) {
    const std::uint32_t most = std::min(brief_attempts, stride_);
    if (attempts_in_vain(most, [&] { machine.relax_briefly(); }) < most) return found(), true;
    was_short_ = false;
  }
  // A wait of the shortest kind is over before the clock has been asked.
  if (const std::uint32_t in_vain = attempts_in_vain(stride_, relax); in_vain < stride_) {
    was_short_ = in_vain < few_attempts;
    return found(), true;
  }
  const std::int64_t start = machine.now_ns();
  const std::int64_t give_up = std::min(start + (automatic ? automatic_budget_ns : bound_ns_), deadline_ns);
  for (std::int64_t last = start; last < give_up;) {
    if (attempts_in_vain(stride_, relax) < stride_) return found(), true;
    if (automatic) machine.yield();
    const std::int64_t now = machine.now_ns();
    if (automatic && now - last > contended_gap_ns) {
      contended();
      return attempt();
    }
    if (now - last < check_ns / 2 && stride_ < 1024) stride_ *= 2;
    if (now - last > check_ns && stride_ > 1) stride_ /= 2;
    last = now;
  }
  too_long();
  return false;
}

inline void WaitPolicy::found() noexcept {
  long_waits_ = 0;
  if (++found_in_a_row_ >= calm_spins) contentions_ = found_in_a_row_ = 0;
}

}  // namespace ferry
