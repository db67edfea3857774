/* smallest: a stream transport in plain C against abi.h alone, to show that nothing of C++ is needed. Abstract Unix
 * sockets of Linux; the address is the name. Every call is "try, then wait for the socket or the interrupt, and try
 * again"; the one allocation is the object. */
#define _GNU_SOURCE
#include <errno.h>
#include <ferry/abi.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* A connection and a listener are both a socket and an eventfd that interrupt makes readable for good. */
struct waiter {
  const ferry_host* host;
  int fd;
  int wake;
};
struct connection {
  ferry_connection abi; /* first, so that the ABI's pointer is ours */
  struct waiter socket;
  int ended;
};
struct listener {
  ferry_listener abi;
  struct waiter socket;
  char name[100];
};
struct transport {
  ferry_transport abi;
  const ferry_host* host;
};

static ferry_status fail(ferry_error* error, ferry_status status, const char* message, int os_error) {
  if (error != NULL && error->struct_size > offsetof(ferry_error, message)) {
    error->status = status;
    error->os_error = os_error;
    snprintf(error->message, error->struct_size - offsetof(ferry_error, message), "%s", message);
  }
  return status;
}

static ferry_status status_of(int error) {
  switch (error) {
    case ECONNRESET:
    case EPIPE:
      return FERRY_RESET;
    case ECONNREFUSED:
      return FERRY_REFUSED;
    case EADDRINUSE:
      return FERRY_ADDRESS_IN_USE;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return FERRY_NO_RESOURCES;
    default:
      return FERRY_IO;
  }
}

static int open_waiter(struct waiter* w, const ferry_host* host, int fd) {
  w->host = host;
  w->fd = fd;
  w->wake = fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (w->wake >= 0) return 1;
  if (fd >= 0) close(fd);
  return 0;
}

static void close_waiter(struct waiter* w) {
  close(w->fd);
  close(w->wake);
}

static ferry_status wait_for(const struct waiter* w, short events, int64_t deadline_ns) {
  struct pollfd fds[2] = {{w->fd, events, 0}, {w->wake, POLLIN, 0}};
  if (deadline_ns == FERRY_NO_WAIT) return FERRY_WOULD_BLOCK;
  while (poll(fds, 2, w->host->timeout_ms(w->host, deadline_ns)) <= 0) {
    if (deadline_ns != FERRY_FOREVER && w->host->now_ns(w->host) >= deadline_ns) return FERRY_TIMED_OUT;
  }
  return fds[0].revents != 0 ? FERRY_OK : FERRY_INTERRUPTED;
}

/* -------------------------------------------------------------------------------------------- connection */

static struct connection* of(ferry_connection* c) { return (struct connection*)(void*)c; }

static int64_t connection_read(ferry_connection* c, void* data, uint64_t size, int64_t deadline_ns) {
  for (;;) {
    const ssize_t got = size == 0 ? 0 : recv(of(c)->socket.fd, data, size, MSG_DONTWAIT);
    if (got > 0 || size == 0) return got;
    if (got == 0) return FERRY_END;
    if (errno != EAGAIN && errno != EINTR) return status_of(errno);
    const ferry_status status = wait_for(&of(c)->socket, POLLIN, deadline_ns);
    if (status != FERRY_OK) return status;
  }
}

static int64_t connection_write(ferry_connection* c, const ferry_iovec* pieces, uint32_t count, uint32_t flags,
                                int64_t deadline_ns) {
  struct iovec copy[FERRY_MAX_IOVECS];
  struct msghdr message = {0};
  (void)flags; /* a local socket gains nothing from holding bytes back */
  if (of(c)->ended) return FERRY_CLOSED;
  for (uint32_t i = 0; i < count; ++i) copy[i] = (struct iovec){(void*)(uintptr_t)pieces[i].data, pieces[i].size};
  message.msg_iov = copy;
  message.msg_iovlen = count;
  for (;;) {
    const ssize_t sent = sendmsg(of(c)->socket.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno != EAGAIN && errno != EINTR) return status_of(errno);
    const ferry_status status = wait_for(&of(c)->socket, POLLOUT, deadline_ns);
    if (status != FERRY_OK) return status;
  }
}

static int32_t connection_arm(ferry_connection* c, ferry_interest interest) {
  (void)c, (void)interest;
  return FERRY_ARMED; /* a socket is level-triggered: whatever happened since makes poll return at once */
}

static ferry_status connection_pollable(ferry_connection* c, ferry_interest interest, ferry_pollable* out) {
  out->handle = of(c)->socket.fd;
  out->events = interest == FERRY_READ ? FERRY_POLL_IN : FERRY_POLL_OUT;
  out->reserved = 0;
  return FERRY_OK;
}

static ferry_status connection_shutdown_write(ferry_connection* c) {
  of(c)->ended = 1;
  return shutdown(of(c)->socket.fd, SHUT_WR) == 0 || errno == ENOTCONN ? FERRY_OK : status_of(errno);
}

static void connection_interrupt(ferry_connection* c) { eventfd_write(of(c)->socket.wake, 1); }

/* What was written already lies in the peer's queue. Input left unread at close would turn the peer's end into a
 * reset: so first let nothing more in, then empty the queue. */
static ferry_status connection_finish(ferry_connection* c, int64_t deadline_ns) {
  char unread[4096];
  (void)deadline_ns;
  of(c)->ended = 1;
  shutdown(of(c)->socket.fd, SHUT_RDWR);
  while (recv(of(c)->socket.fd, unread, sizeof unread, MSG_DONTWAIT) > 0) continue;
  return FERRY_OK;
}

static void connection_close(ferry_connection* c) {
  close_waiter(&of(c)->socket);
  free(of(c));
}

static ferry_status connection_info(ferry_connection* c, ferry_connection_info* out) {
  const uint32_t size = out->struct_size;
  ferry_connection_info info = {0};
  (void)c;
  info.struct_size = size;
  info.kind = FERRY_STREAM;
  info.frame_alignment = 1;
  memcpy(out, &info, size < sizeof info ? size : sizeof info); /* an older caller has room for less */
  return FERRY_OK;
}

static const ferry_connection_ops connection_ops = {
    .struct_size = sizeof(ferry_connection_ops),
    .read = connection_read,
    .write = connection_write,
    .arm = connection_arm,
    .pollable = connection_pollable,
    .shutdown_write = connection_shutdown_write,
    .interrupt = connection_interrupt,
    .finish = connection_finish,
    .close = connection_close,
    .abort = connection_close,
    .info = connection_info,
};

static ferry_status make_connection(const ferry_host* host, int fd, ferry_connection** out, ferry_error* error) {
  struct connection* c = calloc(1, sizeof *c);
  if (c == NULL || !open_waiter(&c->socket, host, fd)) {
    if (c == NULL) close(fd);
    free(c);
    return fail(error, FERRY_NO_RESOURCES, "out of memory or descriptors", errno);
  }
  c->abi.struct_size = sizeof c->abi;
  c->abi.ops = &connection_ops;
  *out = &c->abi;
  return FERRY_OK;
}

/* ---------------------------------------------------------------------------------------------- listener */

static struct listener* listening(ferry_listener* l) { return (struct listener*)(void*)l; }

static ferry_status listener_accept(ferry_listener* l, int64_t deadline_ns, ferry_connection** out,
                                    ferry_error* error) {
  const struct waiter* socket = &listening(l)->socket;
  for (;;) {
    const int fd = accept4(socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) return make_connection(socket->host, fd, out, error);
    if (errno != EAGAIN && errno != EINTR) return fail(error, status_of(errno), "accept failed", errno);
    const ferry_status status = wait_for(socket, POLLIN, deadline_ns);
    if (status != FERRY_OK) return status;
  }
}

static int32_t listener_arm(ferry_listener* l) {
  (void)l;
  return FERRY_ARMED;
}

static ferry_status listener_pollable(ferry_listener* l, ferry_pollable* out) {
  *out = (ferry_pollable){listening(l)->socket.fd, FERRY_POLL_IN, 0};
  return FERRY_OK;
}

static void listener_interrupt(ferry_listener* l) { eventfd_write(listening(l)->socket.wake, 1); }

static uint32_t listener_local_address(ferry_listener* l, char* text, uint32_t size) {
  const uint32_t needed = (uint32_t)strlen(listening(l)->name) + 1;
  if (needed <= size) memcpy(text, listening(l)->name, needed);
  return needed;
}

static void listener_close(ferry_listener* l) {
  close_waiter(&listening(l)->socket);
  free(listening(l));
}

static const ferry_listener_ops listener_ops = {
    .struct_size = sizeof(ferry_listener_ops),
    .accept = listener_accept,
    .arm = listener_arm,
    .pollable = listener_pollable,
    .interrupt = listener_interrupt,
    .local_address = listener_local_address,
    .close = listener_close,
};

/* --------------------------------------------------------------------------------------------- transport */

static ferry_status check_address(const char* address, ferry_error* error) {
  const size_t size = strlen(address);
  if (size > 0 && size < sizeof((struct listener*)0)->name) return FERRY_OK;
  return fail(error, FERRY_INVALID, "the address must be a name of 1 to 99 bytes", 0);
}

/* The name starts with a NUL byte, which is what makes it abstract: there is no file. */
static socklen_t fill_name(struct sockaddr_un* name, const char* address) {
  memset(name, 0, sizeof *name);
  name->sun_family = AF_UNIX;
  memcpy(name->sun_path + 1, address, strlen(address));
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address));
}

static int open_socket(void) { return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

/* A Unix socket connects at once, or says EAGAIN while the listener's queue is full; nothing then tells when there is
 * room, so we look again every few milliseconds. */
static ferry_status wait_for_room(const ferry_host* host, int64_t deadline_ns, const ferry_cancel* cancel) {
  struct pollfd cancelled = {cancel == NULL ? -1 : (int)cancel->handle, POLLIN, 0};
  const int32_t left = host->timeout_ms(host, deadline_ns);
  if (deadline_ns == FERRY_NO_WAIT) return FERRY_WOULD_BLOCK;
  if (left == 0) return FERRY_TIMED_OUT;
  return poll(&cancelled, 1, left < 0 || left > 5 ? 5 : left) > 0 ? FERRY_INTERRUPTED : FERRY_OK;
}

static ferry_status transport_connect(ferry_transport* t, const char* address, const ferry_values* options,
                                      int64_t deadline_ns, const ferry_cancel* cancel, ferry_connection** out,
                                      ferry_error* error) {
  const ferry_host* host = ((struct transport*)(void*)t)->host;
  struct sockaddr_un name;
  ferry_status status = check_address(address, error);
  (void)options;
  if (status != FERRY_OK) return status;
  const socklen_t size = fill_name(&name, address);
  const int fd = open_socket();
  if (fd < 0) return fail(error, status_of(errno), "cannot open a socket", errno);
  while (connect(fd, (const struct sockaddr*)&name, size) != 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN)
      status = fail(error, status_of(errno), "cannot connect to that name", errno);
    else
      status = wait_for_room(host, deadline_ns, cancel);
    if (status == FERRY_OK) continue;
    close(fd);
    return status;
  }
  return make_connection(host, fd, out, error);
}

static ferry_status transport_listen(ferry_transport* t, const char* address, const ferry_values* options,
                                     ferry_listener** out, ferry_error* error) {
  struct sockaddr_un name;
  struct listener* l;
  const ferry_status status = check_address(address, error);
  (void)options;
  if (status != FERRY_OK) return status;
  const socklen_t size = fill_name(&name, address);
  l = calloc(1, sizeof *l);
  if (l == NULL || !open_waiter(&l->socket, ((struct transport*)(void*)t)->host, open_socket())) {
    free(l);
    return fail(error, FERRY_NO_RESOURCES, "out of memory or descriptors", errno);
  }
  if (bind(l->socket.fd, (const struct sockaddr*)&name, size) != 0 || listen(l->socket.fd, SOMAXCONN) != 0) {
    const int os_error = errno;
    listener_close(&l->abi);
    return fail(error, status_of(os_error), "cannot listen on that name", os_error);
  }
  memcpy(l->name, address, strlen(address) + 1);
  l->abi.struct_size = sizeof l->abi;
  l->abi.ops = &listener_ops;
  *out = &l->abi;
  return FERRY_OK;
}

static void transport_destroy(ferry_transport* t) { free(t); }

static const ferry_transport_ops transport_ops = {
    .struct_size = sizeof(ferry_transport_ops),
    .connect = transport_connect,
    .listen = transport_listen,
    .destroy = transport_destroy,
};

static ferry_status create(const ferry_host* host, const ferry_values* options, ferry_transport** out,
                           ferry_error* error) {
  struct transport* t = calloc(1, sizeof *t);
  (void)options;
  if (t == NULL) return fail(error, FERRY_NO_RESOURCES, "out of memory", ENOMEM);
  t->abi.struct_size = sizeof t->abi;
  t->abi.ops = &transport_ops;
  t->host = host;
  *out = &t->abi;
  return FERRY_OK;
}

static const char* const schemes[] = {"smallest", NULL};

FERRY_PLUGIN_EXPORT extern const ferry_plugin ferry_plugin_v1;
const ferry_plugin ferry_plugin_v1 = {
    .struct_size = sizeof(ferry_plugin),
    .abi_major = FERRY_ABI_MAJOR,
    .abi_minor = FERRY_ABI_MINOR,
    .option_stride = sizeof(ferry_option),
    .capabilities = FERRY_CAP_STREAM | FERRY_CAP_HALF_CLOSE | FERRY_CAP_LOCAL | FERRY_CAP_EPHEMERAL,
    .name = "smallest",
    .version = "1.0.0",
    .description = "abstract Unix sockets, in plain C",
    .licence = "0BSD",
    .schemes = schemes,
    .ephemeral_address = "{name}",
    .check_address = check_address,
    .create = create,
};
