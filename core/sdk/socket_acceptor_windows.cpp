#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/socket_acceptor.hpp"

namespace ferry::plugin {

SocketAcceptor::SocketAcceptor(UniqueSocket socket) : socket_(std::move(socket)) {
  if (::WSAEventSelect(socket_.get(), event_.get(), FD_ACCEPT) != 0) {
    throw os_failure(::WSAGetLastError(), "cannot watch the listening socket");
  }
}

UniqueSocket SocketAcceptor::accept(std::int64_t deadline_ns, ferry_status& why_not) {
  for (;;) {
    why_not = wait_signalled(event_.get(), deadline_ns, interrupt_);
    if (why_not != FERRY_OK) return {};
    ::ResetEvent(event_.get());
    UniqueSocket client(::accept(socket_.get(), nullptr, nullptr));
    if (client) {
      // It came with the listening socket's event and mode, and inheritable.
      ::WSAEventSelect(client.get(), nullptr, 0);
      ::SetHandleInformation(reinterpret_cast<HANDLE>(client.get()), HANDLE_FLAG_INHERIT, 0);
      return client;
    }
    const int error = ::WSAGetLastError();
    if (error == WSAECONNRESET || error == WSAEWOULDBLOCK) continue;  // a client that gave up in the queue
    ::SetEvent(event_.get());                                         // the client is still there
    throw os_failure(error);
  }
}

std::int32_t SocketAcceptor::arm() noexcept {
  return ::WaitForSingleObject(event_.get(), 0) == WAIT_OBJECT_0 ? FERRY_READY : FERRY_ARMED;
}

ferry_status SocketAcceptor::pollable(ferry_pollable& out) const noexcept {
  out.handle = reinterpret_cast<std::int64_t>(event_.get());
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

UniqueSocket open_stream_socket(int address_family, int protocol) {
  UniqueSocket made(::WSASocketW(address_family, SOCK_STREAM, protocol, nullptr, 0,
                                 WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT));
  if (!made) throw os_failure(::WSAGetLastError(), "cannot open a socket");
  return made;
}

ferry_status connect_socket(SOCKET socket, const sockaddr* to, int size, std::int64_t deadline_ns,
                            const ferry_cancel* cancel) {
  if (deadline_passed(deadline_ns)) return out_of_time(deadline_ns);
  const UniqueHandle event = make_event();
  ::WSAEventSelect(socket, event.get(), FD_CONNECT);  // also makes the socket non-blocking
  int error = ::connect(socket, to, size) == 0 ? 0 : ::WSAGetLastError();
  if (error == WSAEWOULDBLOCK) {
    if (const ferry_status status = wait_signalled(event.get(), deadline_ns, cancel); status != FERRY_OK) return status;
    WSANETWORKEVENTS events{};
    ::WSAEnumNetworkEvents(socket, event.get(), &events);
    error = events.iErrorCode[FD_CONNECT_BIT];
  }
  if (error != 0) throw os_failure(error);
  ::WSAEventSelect(socket, nullptr, 0);
  return FERRY_OK;
}

}  // namespace ferry::plugin
