// How large packets may be. ngtcp2's own search ends at 1,444 bytes, because that is what the Internet carries; between
// two processes a packet may be ten times as large, and costs little more than a small one.
//
// A search of one step (RFC 8899): a large packet full of a stream's bytes is the probe. When they are acknowledged and
// nothing of the stream was lost and no time-out came in between, all packets may be so large. A probe that is lost is
// lost as any other packet, and is sent again in small ones. What is at the end of a short path may still be a relay to
// a narrow one: after ten probes in vain nothing more is tried; two time-outs in a row, which on a busy machine say
// little, begin the search anew; and with another path it is over.
//
// Where ngtcp2 searches, the path may become narrower later, and tell nobody: ngtcp2 0.12 would send what is lost again
// and again, as large as before. So three time-outs in a row end larger packets than every path carries, for good: what
// such a path carries is found by nothing but more time-outs, and a sixth of the throughput is no reason for these.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ferry::quic {

class PacketSize {
 public:
  static constexpr std::size_t small_bytes = 1200;  // what every path carries (RFC 9000, section 14)
  static constexpr std::size_t large_bytes = 8188;  // eight of them are one burst

  /// How far a stream has come.
  struct Place {
    std::int64_t stream = -1;
    std::uint64_t end = 0;
    std::uint64_t losses = 0;
  };

  /// Begins to look. Before that, ngtcp2 does.
  void look() noexcept { state_ = State::looking; }
  bool is_ours() const noexcept { return state_ != State::others; }
  /// With is_ours().
  std::size_t current() const noexcept { return current_; }
  bool may_probe() const noexcept { return state_ == State::looking; }
  /// On a longer path another machine is at its end.
  static bool is_short(std::uint64_t min_rtt_ns) noexcept { return min_rtt_ns < short_path_ns; }

  void probe_sent(std::size_t size, const Place& at) noexcept {
    state_ = State::probing;
    probe_bytes_ = size;
    probe_ = at;
  }
  bool probes(std::int64_t stream) const noexcept { return state_ == State::probing && probe_.stream == stream; }
  /// All of the stream up to there.
  void acknowledged(const Place& place) noexcept {
    if (!probes(place.stream) || place.end < probe_.end) return;
    if (place.losses != probe_.losses) return fail();
    state_ = State::found;
    current_ = probe_bytes_;
    failures_ = 0;
  }
  /// The stream is no more; its probe has no answer.
  void ended(std::int64_t stream) noexcept {
    if (probes(stream)) fail();
  }
  /// Whether a time-out says anything.
  bool is_at_stake() const noexcept { return state_ != State::looking && state_ != State::given_up; }
  /// @param found_by_ngtcp2  what its search has come to
  void timed_out(std::size_t in_a_row, std::size_t found_by_ngtcp2) noexcept {
    if (state_ == State::others && found_by_ngtcp2 > small_bytes && in_a_row >= timeouts_of_black_hole) give_up();
    if (state_ == State::probing && in_a_row > 0) return fail();
    if (state_ != State::found || in_a_row < timeouts_of_broken_path) return;
    current_ = small_bytes;
    fail();
  }
  void path_changed() noexcept {
    if (is_ours()) give_up();
  }

 private:
  enum class State : std::uint8_t { others, looking, probing, found, given_up };
  static constexpr std::uint64_t short_path_ns = 1'000'000;
  static constexpr std::size_t timeouts_of_broken_path = 2;
  static constexpr std::size_t timeouts_of_black_hole = 3;  // RFC 8899, section 4.3
  static constexpr int max_probes = 10;

  void fail() noexcept {
    state_ = State::looking;
    if (++failures_ == max_probes) give_up();
  }
  void give_up() noexcept {
    state_ = State::given_up;
    current_ = small_bytes;
  }

  State state_ = State::others;
  int failures_ = 0;
  std::size_t current_ = small_bytes;
  std::size_t probe_bytes_ = 0;
  Place probe_;
};

}  // namespace ferry::quic
