// A pipe of the system, as ferry.splice/1 takes one.
#pragma once

#include <cstdint>
#include <span>

namespace ferry::conformance {

/// Calls that move bytes move all of them or fail the test. The constructor skips it where the system has no such pipe.
class OpenPipe {
 public:
  OpenPipe();
  OpenPipe(const OpenPipe&) = delete;
  OpenPipe& operator=(const OpenPipe&) = delete;
  ~OpenPipe();
  std::int64_t input() const noexcept { return input_; }
  std::int64_t output() const noexcept { return output_; }
  void write(std::span<const std::uint8_t> bytes) const;
  void read(std::span<std::uint8_t> bytes) const;
  void move_to(std::int64_t pipe, std::uint64_t size) const;
  void move_from(std::int64_t pipe, std::uint64_t size) const;
  void fill_up() const;
  void close_input() noexcept;
  void close_output() noexcept;

 private:
  std::int64_t input_ = -1;
  std::int64_t output_ = -1;
};

}  // namespace ferry::conformance
