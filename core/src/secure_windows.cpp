#include <windows.h>
// after windows.h
#include <bcrypt.h>

#include "ferry/error.hpp"
#include "secure.hpp"

namespace ferry {

void fill_random(std::span<std::byte> memory) {
  const NTSTATUS status = ::BCryptGenRandom(nullptr, reinterpret_cast<PUCHAR>(memory.data()),
                                            static_cast<ULONG>(memory.size()), BCRYPT_USE_SYSTEM_PREFERRED_RNG);
  if (status < 0) throw Error(Status::io, "get", "random bytes", "BCryptGenRandom failed: " + std::to_string(status));
}

void wipe(std::span<std::byte> memory) noexcept { ::SecureZeroMemory(memory.data(), memory.size()); }

}  // namespace ferry
