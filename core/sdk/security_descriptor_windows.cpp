#include <windows.h>
// after windows.h
#include <aclapi.h>
#include <sddl.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/security_descriptor.hpp"
#include "ferry/sdk/unique_handle.hpp"

namespace ferry::plugin {
namespace {

std::wstring text_of(PSID user) {
  wchar_t* text = nullptr;
  if (::ConvertSidToStringSidW(user, &text) == FALSE) {
    throw os_failure(static_cast<int>(::GetLastError()), "cannot tell a user's name");
  }
  std::wstring out = text;
  ::LocalFree(text);
  return out;
}

/// Of this process: TokenUser, or TokenOwner, whom the system gives to what the process makes. That is the user as
/// well, and the administrators when he acts as one.
std::wstring own(TOKEN_INFORMATION_CLASS which) {
  HANDLE opened = nullptr;
  if (::OpenProcessToken(::GetCurrentProcess(), TOKEN_QUERY, &opened) == FALSE) {
    throw os_failure(static_cast<int>(::GetLastError()), "cannot tell which user this is");
  }
  const UniqueHandle token(opened);
  alignas(TOKEN_USER) std::array<std::byte, sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE> user;
  DWORD size = 0;
  if (::GetTokenInformation(token.get(), which, user.data(), user.size(), &size) == FALSE) {
    throw os_failure(static_cast<int>(::GetLastError()), "cannot tell which user this is");
  }
  return text_of(*reinterpret_cast<const PSID*>(user.data()));  // what either structure begins with
}

/// The entry of an access control list that lets this user do everything.
std::wstring own_entry() { return L"(A;;GA;;;" + own(TokenUser) + L")"; }

/// `sddl` with that entry before all others of its access control list. Whoever serves a pipe opens it again for each
/// further instance, so a list without him would let in one client and no more.
std::wstring with_own_entry(std::wstring sddl) {
  const std::size_t list = sddl.find(L"D:");
  if (list == std::wstring::npos) return sddl + L"D:P" + own_entry();
  // Flags come first; a list without entries ends where that of audits begins.
  const std::size_t first = std::min({sddl.find(L'(', list), sddl.find(L"S:", list), sddl.size()});
  return sddl.insert(first, own_entry());
}

}  // namespace

SecurityDescriptor::SecurityDescriptor(std::string_view sddl) {
  PSECURITY_DESCRIPTOR descriptor = nullptr;
  const std::wstring text = with_own_entry(wide(sddl));
  if (::ConvertStringSecurityDescriptorToSecurityDescriptorW(text.c_str(), SDDL_REVISION_1, &descriptor, nullptr) ==
      FALSE) {
    const auto error = static_cast<int>(::GetLastError());
    throw Failure(FERRY_INVALID, "the security option is no SDDL string: " + os_text(error), error);
  }
  descriptor_.reset(descriptor);
}

bool is_trusted_owner(HANDLE pipe) {
  PSID owner = nullptr;
  PSECURITY_DESCRIPTOR descriptor = nullptr;
  const DWORD error = ::GetSecurityInfo(pipe, SE_KERNEL_OBJECT, OWNER_SECURITY_INFORMATION, &owner, nullptr, nullptr,
                                        nullptr, &descriptor);
  if (error != ERROR_SUCCESS) throw os_failure(static_cast<int>(error), "cannot tell who serves the pipe");
  const std::unique_ptr<void, decltype(&::LocalFree)> owned(descriptor, &::LocalFree);
  if (owner == nullptr) return false;
  if (::IsWellKnownSid(owner, WinLocalSystemSid) != FALSE) return true;
  if (::IsWellKnownSid(owner, WinBuiltinAdministratorsSid) != FALSE) return true;
  const std::wstring name = text_of(owner);
  return name == own(TokenUser) || name == own(TokenOwner);
}

std::wstring wide(std::string_view text) {
  const auto size = static_cast<int>(text.size());
  std::wstring out(static_cast<std::size_t>(::MultiByteToWideChar(CP_UTF8, 0, text.data(), size, nullptr, 0)), L'\0');
  ::MultiByteToWideChar(CP_UTF8, 0, text.data(), size, out.data(), static_cast<int>(out.size()));
  return out;
}

}  // namespace ferry::plugin
