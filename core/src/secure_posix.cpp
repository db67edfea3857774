#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "ferry/error.hpp"
#include "secure.hpp"

namespace ferry {

void fill_random(std::span<std::byte> memory) {
  while (!memory.empty()) {
    const ssize_t count = ::getrandom(memory.data(), memory.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error(Status::io, "get", "random bytes", std::strerror(errno), errno);
    memory = memory.subspan(static_cast<std::size_t>(count));
  }
}

void wipe(std::span<std::byte> memory) noexcept { ::explicit_bzero(memory.data(), memory.size()); }

}  // namespace ferry
