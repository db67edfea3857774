#include <windows.h>
// after windows.h
#include <sddl.h>

#include <array>
#include <cstddef>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/security_descriptor.hpp"
#include "ferry/sdk/unique_handle.hpp"

namespace ferry::plugin {
namespace {

/// An access control list with one entry: this user may do everything.
std::wstring own_list() {
  HANDLE opened = nullptr;
  if (::OpenProcessToken(::GetCurrentProcess(), TOKEN_QUERY, &opened) == FALSE) {
    throw os_failure(static_cast<int>(::GetLastError()), "cannot tell which user this is");
  }
  const UniqueHandle token(opened);
  alignas(TOKEN_USER) std::array<std::byte, sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE> user;
  DWORD size = 0;
  wchar_t* text = nullptr;
  if (::GetTokenInformation(token.get(), TokenUser, user.data(), user.size(), &size) == FALSE ||
      ::ConvertSidToStringSidW(reinterpret_cast<const TOKEN_USER*>(user.data())->User.Sid, &text) == FALSE) {
    throw os_failure(static_cast<int>(::GetLastError()), "cannot tell which user this is");
  }
  std::wstring list = std::wstring(L"D:P(A;;GA;;;") + text + L")";
  ::LocalFree(text);
  return list;
}

}  // namespace

SecurityDescriptor::SecurityDescriptor(std::string_view sddl) {
  PSECURITY_DESCRIPTOR descriptor = nullptr;
  const std::wstring text = sddl.empty() ? own_list() : wide(sddl);
  if (::ConvertStringSecurityDescriptorToSecurityDescriptorW(text.c_str(), SDDL_REVISION_1, &descriptor, nullptr) ==
      FALSE) {
    const auto error = static_cast<int>(::GetLastError());
    throw Failure(FERRY_INVALID, "the security option is no SDDL string: " + os_text(error), error);
  }
  descriptor_.reset(descriptor);
}

std::wstring wide(std::string_view text) {
  const auto size = static_cast<int>(text.size());
  std::wstring out(static_cast<std::size_t>(::MultiByteToWideChar(CP_UTF8, 0, text.data(), size, nullptr, 0)), L'\0');
  ::MultiByteToWideChar(CP_UTF8, 0, text.data(), size, out.data(), static_cast<int>(out.size()));
  return out;
}

}  // namespace ferry::plugin
