#include <winsock2.h>
// after winsock2.h
#include <windows.h>

#include <array>

#include "ferry/sdk/os_error.hpp"

namespace ferry::plugin {

ferry_status status_of_errno(int error) noexcept {
  switch (error) {
    case WSAEWOULDBLOCK:
    case WSA_IO_PENDING:
      return FERRY_WOULD_BLOCK;
    case WSAETIMEDOUT:
    case ERROR_SEM_TIMEOUT:
    case WAIT_TIMEOUT:
      return FERRY_TIMED_OUT;
    case WSAECONNRESET:
    case WSAECONNABORTED:
    case WSAENETRESET:
    case ERROR_NETNAME_DELETED:
    case ERROR_CONNECTION_ABORTED:
    case ERROR_BROKEN_PIPE:
    case ERROR_NO_DATA:
    case ERROR_PIPE_NOT_CONNECTED:
      return FERRY_RESET;
    case WSAECONNREFUSED:
    case ERROR_CONNECTION_REFUSED:
      return FERRY_REFUSED;
    case WSAENETUNREACH:
    case WSAEHOSTUNREACH:
    case WSAENETDOWN:
    case WSAEHOSTDOWN:
    case ERROR_NETWORK_UNREACHABLE:
    case ERROR_HOST_UNREACHABLE:
    case ERROR_BAD_NETPATH:
      return FERRY_UNREACHABLE;
    case WSAEADDRINUSE:
    case ERROR_ALREADY_EXISTS:
      return FERRY_ADDRESS_IN_USE;
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case WSAEADDRNOTAVAIL:
    case WSAHOST_NOT_FOUND:
      return FERRY_NOT_FOUND;
    case ERROR_ACCESS_DENIED:
    case WSAEACCES:
      return FERRY_PERMISSION;
    case ERROR_INVALID_PARAMETER:
    case ERROR_INVALID_NAME:
    case ERROR_INVALID_HANDLE:
    case WSAEINVAL:
    case WSAEFAULT:
      return FERRY_INVALID;
    case ERROR_NOT_SUPPORTED:
    case ERROR_INVALID_FUNCTION:
    case WSAEAFNOSUPPORT:
    case WSAEPROTONOSUPPORT:
    case WSAENOPROTOOPT:
    case WSAEOPNOTSUPP:
      return FERRY_UNSUPPORTED;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_TOO_MANY_OPEN_FILES:
    case WSAEMFILE:
    case WSAENOBUFS:
      return FERRY_NO_RESOURCES;
    default:
      return FERRY_IO;
  }
}

std::string os_text(int error) {
  // Not std::system_category(): libstdc++ 12 knows some of the codes only, and none of Winsock's.
  std::array<wchar_t, 512> wide;
  const DWORD size =
      ::FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, nullptr, static_cast<DWORD>(error),
                       0, wide.data(), static_cast<DWORD>(wide.size()), nullptr);
  std::array<char, 1024> narrow;
  const int bytes = ::WideCharToMultiByte(CP_UTF8, 0, wide.data(), static_cast<int>(size), narrow.data(),
                                          static_cast<int>(narrow.size()), nullptr, nullptr);
  std::string text(narrow.data(), static_cast<std::size_t>(bytes));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == '.')) text.pop_back();
  return text.empty() ? "system error " + std::to_string(error) : text;
}

Failure os_failure(int error, std::string_view context) {
  std::string text(context);
  if (!text.empty()) text += ": ";
  return Failure(status_of_errno(error), text + os_text(error), error);
}

}  // namespace ferry::plugin
