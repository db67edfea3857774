#include "section.hpp"

// after windows.h
#include <bcrypt.h>

#include "ferry/sdk/os_error.hpp"

namespace ferry::shm_spsc {
namespace {

using plugin::Failure;
using plugin::UniqueHandle;

Failure failure(const char* what) { return plugin::os_failure(static_cast<int>(::GetLastError()), what); }

}  // namespace

Token draw_token() {
  Token token;
  if (::BCryptGenRandom(nullptr, reinterpret_cast<PUCHAR>(token.data()), token.size(),
                        BCRYPT_USE_SYSTEM_PREFERRED_RNG) < 0) {
    throw Failure(FERRY_NO_RESOURCES, "the system gives no random bytes for the connection's name");
  }
  return token;
}

std::wstring object_name(const Token& token, std::wstring_view part) {
  constexpr wchar_t digits[] = L"0123456789abcdef";
  std::wstring name = L"Local\\ferry-shm-";
  for (const std::byte byte : token) {
    name += digits[std::to_integer<unsigned>(byte) >> 4];
    name += digits[std::to_integer<unsigned>(byte) & 15];
  }
  return name.append(L"-").append(part);
}

UniqueHandle make_named_event(const std::wstring& name, const plugin::SecurityDescriptor& security) {
  SECURITY_ATTRIBUTES attributes = security.attributes();
  UniqueHandle event(::CreateEventW(&attributes, FALSE, FALSE, name.c_str()));
  if (!event) throw failure("making an event");
  return event;
}

UniqueHandle open_named_event(const std::wstring& name) {
  UniqueHandle event(::OpenEventW(SYNCHRONIZE | EVENT_MODIFY_STATE, FALSE, name.c_str()));
  if (!event) throw failure("opening the listener's event");
  return event;
}

Section open_section(const std::wstring& name) {
  Section section;
  section.handle.reset(::OpenFileMappingW(FILE_MAP_READ | FILE_MAP_WRITE, FALSE, name.c_str()));
  if (!section.handle) throw failure("opening the listener's memory");
  return section;
}

}  // namespace ferry::shm_spsc
