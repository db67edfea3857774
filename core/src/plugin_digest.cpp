#include <nettle/sha2.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "ferry/error.hpp"
#include "plugin_file.hpp"

namespace ferry {

std::string sha256_of(const PluginFile& file) {
  constexpr unsigned block_bytes = 1u << 16;
  std::vector<std::uint8_t> block(block_bytes);
  sha256_ctx context;
  ::sha256_init(&context);
  ::lseek(file.fd.get(), 0, SEEK_SET);  // others may have read it before
  for (;;) {
    const auto count = ::read(file.fd.get(), block.data(), block_bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error(Status::io, "load plugin", file.path.string(), "cannot read it", errno);
    if (count == 0) break;
    ::sha256_update(&context, static_cast<std::size_t>(count), block.data());
  }
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
  ::sha256_digest(&context, digest.size(), digest.data());
  std::string hex;
  for (const std::uint8_t byte : digest) {
    constexpr char digits[] = "0123456789abcdef";
    hex += digits[byte >> 4];
    hex += digits[byte & 15];
  }
  return hex;
}

}  // namespace ferry
