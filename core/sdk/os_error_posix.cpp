#include <cerrno>
#include <cstring>

#include "ferry/sdk/os_error.hpp"

namespace ferry::plugin {

ferry_status status_of_errno(int error) noexcept {
  switch (error) {
    case EAGAIN:
      return FERRY_WOULD_BLOCK;
    case ETIMEDOUT:
      return FERRY_TIMED_OUT;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
      return FERRY_RESET;
    case ECONNREFUSED:
      return FERRY_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
      return FERRY_UNREACHABLE;
    case EADDRINUSE:
      return FERRY_ADDRESS_IN_USE;
    case ENOENT:
    case EADDRNOTAVAIL:
      return FERRY_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
      return FERRY_PERMISSION;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case ELOOP:
    case EBADF:
      return FERRY_INVALID;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
      return FERRY_UNSUPPORTED;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC:
    case ETOOMANYREFS:
      return FERRY_NO_RESOURCES;
    default:
      return FERRY_IO;
  }
}

std::string os_text(int error) {
  char buffer[128];
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
  return ::strerror_r(error, buffer, sizeof(buffer));
#else
  return ::strerror_r(error, buffer, sizeof(buffer)) == 0 ? buffer : "unknown error";
#endif
}

Failure os_failure(int error, std::string_view context) {
  std::string text(context);
  if (!text.empty()) text += ": ";
  return Failure(status_of_errno(error), text + os_text(error), error);
}

}  // namespace ferry::plugin
