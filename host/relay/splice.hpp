// Bytes of one connection moved to another inside the kernel, where both transports offer it (ferry.splice/1).
//
//   source stands on a pipe   the sink sends from it
//   sink stands on a pipe     the source receives into it
//   neither                   the source receives into a pipe that all flows share, the sink sends from that
//
// A splice knows no endings: of whatever is not a count the relay learns by reading and writing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ferry/connection.hpp"

namespace ferry::host {

/// A pipe through which flows pass, one at a time; empty between two moves. Made when first needed, and again after a
/// failure. Move-only.
class SharedPipe {
 public:
  SharedPipe() noexcept = default;
  SharedPipe(const SharedPipe&) = delete;
  SharedPipe& operator=(const SharedPipe&) = delete;
  ~SharedPipe() { close(); }

  /// False where there is none to be had.
  bool open() noexcept;
  std::int64_t input() const noexcept { return input_; }
  std::int64_t output() const noexcept { return output_; }
  /// Takes what is in it; `into` holds at least that much. False when not all could be had: the pipe is then closed.
  bool drain(MutableBytes into) noexcept;

 private:
  void close() noexcept;

  std::int64_t input_ = -1;
  std::int64_t output_ = -1;
};

class Splice {
 public:
  /// Neither connection is owned; both outlive it.
  Splice(Connection& source, Connection& sink) noexcept;

  bool possible() const noexcept { return way_ != Way::none; }

  struct Moved {
    std::size_t in = 0;         ///< bytes taken from the source
    std::size_t out = 0;        ///< bytes of them that the sink has; the others are in the shared pipe
    bool sink_is_full = false;  ///< nothing was moved, and it is the sink that has to be waited for
  };
  /// Moves up to `limit` bytes. With none moved and a sink that is not full, a read says why.
  Moved move(SharedPipe& between, std::size_t limit) noexcept;

 private:
  enum class Way : std::uint8_t { none, from_pipe, to_pipe, over_pipe };

  Moved give_up() noexcept {
    way_ = Way::none;
    return {};
  }
  Moved from_pipe(std::size_t limit) noexcept;
  Moved to_pipe(std::size_t limit) noexcept;
  Moved over_pipe(SharedPipe& between, std::size_t limit) noexcept;

  ferry_connection* source_;
  ferry_connection* sink_;
  const ferry_splice* of_source_ = nullptr;
  const ferry_splice* of_sink_ = nullptr;
  Way way_ = Way::none;
};

}  // namespace ferry::host
