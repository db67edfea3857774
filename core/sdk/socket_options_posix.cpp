#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/socket_options.hpp"

namespace ferry::plugin {

void set_socket_option(int fd, int level, int name, int value, const char* option) {
  if (::setsockopt(fd, level, name, &value, sizeof(value)) != 0) {
    throw os_failure(errno, "setting option '" + std::string(option) + "' to " + std::to_string(value));
  }
}

int socket_option(int fd, int level, int name) noexcept {
  int value = 0;
  socklen_t size = sizeof(value);
  return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

void set_socket_buffers(int fd, const SocketBuffers& wanted) {
  if (wanted.send > 0) set_socket_option(fd, SOL_SOCKET, SO_SNDBUF, static_cast<int>(wanted.send), "sndbuf");
  if (wanted.receive > 0) set_socket_option(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(wanted.receive), "rcvbuf");
}

SocketBuffers granted_socket_buffers(int fd) noexcept {
  return {socket_option(fd, SOL_SOCKET, SO_SNDBUF), socket_option(fd, SOL_SOCKET, SO_RCVBUF)};
}

}  // namespace ferry::plugin
