// How long a blocked call spins before it sleeps; the same for every transport and both planes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ferry {

/// `spin` = off, a bound ("20us"), or auto. A value type; each direction of a connection owns one.
/// Not thread safe: it belongs to the one reader or the one writer.
class WaitPolicy {
 public:
  enum class Mode : std::uint8_t { off, bounded, automatic };

  WaitPolicy() = default;  // automatic
  WaitPolicy(Mode mode, std::int64_t bound_ns) noexcept : mode_(mode), bound_ns_(bound_ns) {}
  /// Parses the option's text; returns false and sets `problem`.
  static bool parse(std::string_view text, WaitPolicy& policy, std::string& problem);

  Mode mode() const noexcept { return mode_; }

  /// Calls `attempt()` (returns true when it has a result) until it succeeds or the spin budget or `deadline_ns` is
  /// used up. Returns false when the caller should now arm and sleep; it then reports the sleep with slept().
  template <class Attempt>
  bool spin(std::int64_t deadline_ns, Attempt&& attempt);
  /// Tells the automatic mode how long the wait lasted in all.
  void slept(std::int64_t waited_ns) noexcept;

 private:
  Mode mode_ = Mode::automatic;
  std::int64_t bound_ns_ = 0;
  std::int64_t expected_wait_ns_ = 0;
  std::int64_t give_up_until_ns_ = 0;
  std::uint32_t backoff_ = 0;
};

}  // namespace ferry
