#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "check.hpp"
#include "open_pipe.hpp"

namespace ferry::conformance {

OpenPipe::OpenPipe() {
  int ends[2];
  require(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0, "pipe: ", std::strerror(errno));
  output_ = ends[0];
  input_ = ends[1];
}

OpenPipe::~OpenPipe() {
  close_input();
  close_output();
}

void OpenPipe::write(std::span<const std::uint8_t> bytes) const {
  const ssize_t written = ::write(static_cast<int>(input_), bytes.data(), bytes.size());
  require(written == std::ssize(bytes), "the pipe took ", written, " of ", bytes.size(), " bytes");
}

void OpenPipe::read(std::span<std::uint8_t> bytes) const {
  while (!bytes.empty()) {
    const ssize_t got = ::read(static_cast<int>(output_), bytes.data(), bytes.size());
    require(got > 0, bytes.size(), " bytes are missing in the pipe");
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

void OpenPipe::move_to(std::int64_t pipe, std::uint64_t size) const {
  require(pipe >= 0, "there is no pipe: ", result_text(pipe));
  const ssize_t moved =
      ::splice(static_cast<int>(output_), nullptr, static_cast<int>(pipe), nullptr, size, SPLICE_F_NONBLOCK);
  require(moved == static_cast<ssize_t>(size), "splice moved ", moved, " of ", size, " bytes");
}

void OpenPipe::move_from(std::int64_t pipe, std::uint64_t size) const {
  require(pipe >= 0, "there is no pipe: ", result_text(pipe));
  const ssize_t moved =
      ::splice(static_cast<int>(pipe), nullptr, static_cast<int>(input_), nullptr, size, SPLICE_F_NONBLOCK);
  require(moved == static_cast<ssize_t>(size), "splice moved ", moved, " of ", size, " bytes");
}

void OpenPipe::fill_up() const {
  const std::vector<std::uint8_t> page(4096);
  while (::write(static_cast<int>(input_), page.data(), page.size()) > 0) {
  }
}

void OpenPipe::close_input() noexcept {
  if (input_ >= 0) ::close(static_cast<int>(std::exchange(input_, -1)));
}

void OpenPipe::close_output() noexcept {
  if (output_ >= 0) ::close(static_cast<int>(std::exchange(output_, -1)));
}

}  // namespace ferry::conformance
