/* A transport plugin in C with every piece of it replaceable by a macro, so that each fixture of CMakeLists.txt is a
 * correct plugin but for the one defect it names. It carries no bytes. */
#include <ferry/abi.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A piece that a fixture may leave out. */
#define PART __attribute__((unused)) static

#define SIZE_OF(type) ((uint32_t)sizeof(type))

#ifndef LISTENER_ACCEPT
#define LISTENER_ACCEPT listener_accept
#endif
#ifndef ACCEPT_STATUS
#define ACCEPT_STATUS FERRY_WOULD_BLOCK
#endif
#ifndef LISTENER_OBJECT
#define LISTENER_OBJECT &the_listener
#endif
#ifndef CONNECTION_READ
#define CONNECTION_READ connection_io
#endif
#ifndef CONNECTION_OPS_SIZE
#define CONNECTION_OPS_SIZE SIZE_OF(ferry_connection_ops)
#endif
#ifndef CONNECTION_OBJECT
#define CONNECTION_OBJECT &the_connection
#endif
#ifndef CONNECT_STATUS
#define CONNECT_STATUS FERRY_OK
#endif
#ifndef TRANSPORT_SIZE
#define TRANSPORT_SIZE SIZE_OF(ferry_transport)
#endif
#ifndef TRANSPORT_OPS
#define TRANSPORT_OPS &transport_ops
#endif
#ifndef TRANSPORT_OPS_SIZE
#define TRANSPORT_OPS_SIZE SIZE_OF(ferry_transport_ops)
#endif
#ifndef TRANSPORT_CONNECT
#define TRANSPORT_CONNECT transport_connect
#endif
#ifndef TRANSPORT_LISTEN
#define TRANSPORT_LISTEN transport_listen
#endif
#ifndef TRANSPORT_DESTROY
#define TRANSPORT_DESTROY transport_destroy
#endif
#ifndef TRANSPORT_OBJECT
#define TRANSPORT_OBJECT &the_transport
#endif
#ifndef CREATE_FIRST
#define CREATE_FIRST (void)0
#endif
#ifndef CREATE_STATUS
#define CREATE_STATUS FERRY_OK
#endif
#ifndef CREATE_MESSAGE
#define CREATE_MESSAGE "the fixture was told to fail"
#endif
#ifndef OPTION_SIZE
#define OPTION_SIZE SIZE_OF(ferry_option)
#endif
#ifndef OPTION_NAME
#define OPTION_NAME "depth"
#endif
#ifndef OPTION_TYPE
#define OPTION_TYPE FERRY_OPTION_INTEGER
#endif
#ifndef OPTION_DEFAULT
#define OPTION_DEFAULT "4"
#endif
#ifndef OPTION_MINIMUM
#define OPTION_MINIMUM 1
#endif
#ifndef OPTION_CHOICES
#define OPTION_CHOICES NULL
#endif
#ifndef OPTION_HELP
#define OPTION_HELP "how deep"
#endif
#ifndef PLUGIN_SIZE
#define PLUGIN_SIZE SIZE_OF(ferry_plugin)
#endif
#ifndef PLUGIN_MAJOR
#define PLUGIN_MAJOR FERRY_ABI_MAJOR
#endif
#ifndef PLUGIN_MINOR
#define PLUGIN_MINOR FERRY_ABI_MINOR
#endif
#ifndef PLUGIN_OPTION_COUNT
#define PLUGIN_OPTION_COUNT 2u
#endif
#ifndef PLUGIN_OPTION_STRIDE
#define PLUGIN_OPTION_STRIDE SIZE_OF(ferry_option)
#endif
#ifndef PLUGIN_CAPABILITIES
#define PLUGIN_CAPABILITIES (FERRY_CAP_STREAM | FERRY_CAP_LOCAL)
#endif
#ifndef PLUGIN_EPHEMERAL_ADDRESS
#define PLUGIN_EPHEMERAL_ADDRESS NULL
#endif
#ifndef PLUGIN_NAME
#define PLUGIN_NAME FIXTURE
#endif
#define COLOURED "red\033[31m"
#define MALFORMED "half a character: \303"
#ifndef PLUGIN_DESCRIPTION
#define PLUGIN_DESCRIPTION "a fixture of the registry's tests"
#endif
#ifndef PLUGIN_SCHEMES
#define PLUGIN_SCHEMES schemes
#endif
#ifndef SCHEMES
#define SCHEMES FIXTURE_SCHEME, NULL
#endif
#ifndef PLUGIN_OPTIONS
#define PLUGIN_OPTIONS options
#endif
#ifndef PLUGIN_CHECK_ADDRESS
#define PLUGIN_CHECK_ADDRESS check_address
#endif
#ifndef PLUGIN_CREATE
#define PLUGIN_CREATE create
#endif

#ifdef UNDEFINED_SYMBOL
void a_function_that_nobody_defines(void);
#endif
#ifdef NEEDS_LIBRARY
void ghost(void);
#endif

#ifdef CONSTRUCTOR_ABORTS
__attribute__((constructor)) static void on_load(void) { abort(); }
#endif

#if defined(HANGS)
static void hang(void) {
  for (;;) pause();
}
#endif
#ifdef CONSTRUCTOR_HANGS
__attribute__((constructor)) static void on_load(void) { hang(); }
#endif

PART int64_t FERRY_CALL connection_io(ferry_connection* connection, void* data, uint64_t size, int64_t deadline_ns) {
  (void)connection, (void)data, (void)size, (void)deadline_ns;
  return FERRY_END;
}
PART int64_t FERRY_CALL connection_write(ferry_connection* connection, const ferry_iovec* pieces, uint32_t count,
                                         uint32_t flags, int64_t deadline_ns) {
  (void)connection, (void)pieces, (void)count, (void)flags, (void)deadline_ns;
  return FERRY_RESET;
}
PART int32_t FERRY_CALL connection_arm(ferry_connection* connection, ferry_interest interest) {
  (void)connection, (void)interest;
  return FERRY_READY;
}
PART ferry_status FERRY_CALL connection_pollable(ferry_connection* connection, ferry_interest interest,
                                                 ferry_pollable* out) {
  (void)connection, (void)interest, (void)out;
  return FERRY_UNSUPPORTED;
}
PART void FERRY_CALL connection_ignore(ferry_connection* connection) { (void)connection; }
PART ferry_status FERRY_CALL connection_finish(ferry_connection* connection, int64_t deadline_ns) {
  (void)connection, (void)deadline_ns;
  return FERRY_OK;
}
PART ferry_status FERRY_CALL connection_info(ferry_connection* connection, ferry_connection_info* out) {
  (void)connection;
  out->kind = FERRY_STREAM;
  out->frame_alignment = 1;
  return FERRY_OK;
}

PART const ferry_connection_ops connection_ops = {
    .struct_size = CONNECTION_OPS_SIZE,
    .read = CONNECTION_READ,
    .write = connection_write,
    .arm = connection_arm,
    .pollable = connection_pollable,
    .interrupt = connection_ignore,
    .finish = connection_finish,
    .close = connection_ignore,
    .abort = connection_ignore,
    .info = connection_info,
};
PART ferry_connection the_connection = {SIZE_OF(ferry_connection), 0, &connection_ops};

PART ferry_status FERRY_CALL listener_accept(ferry_listener* listener, int64_t deadline_ns, ferry_connection** out,
                                             ferry_error* error) {
  (void)listener, (void)deadline_ns, (void)out, (void)error;
  return ACCEPT_STATUS;
}
PART int32_t FERRY_CALL listener_arm(ferry_listener* listener) {
  (void)listener;
  return FERRY_ARMED;
}
PART ferry_status FERRY_CALL listener_pollable(ferry_listener* listener, ferry_pollable* out) {
  (void)listener, (void)out;
  return FERRY_UNSUPPORTED;
}
PART void FERRY_CALL listener_ignore(ferry_listener* listener) { (void)listener; }
PART uint32_t FERRY_CALL listener_address(ferry_listener* listener, char* text, uint32_t size) {
  (void)listener;
  if (size >= 2) memcpy(text, "x", 2);
  return 2;
}

PART const ferry_listener_ops listener_ops = {
    .struct_size = SIZE_OF(ferry_listener_ops),
    .accept = LISTENER_ACCEPT,
    .arm = listener_arm,
    .pollable = listener_pollable,
    .interrupt = listener_ignore,
    .local_address = listener_address,
    .close = listener_ignore,
};
PART ferry_listener the_listener = {SIZE_OF(ferry_listener), 0, &listener_ops};

/* A peer that never answers: only the cancel handle ends the wait. */
PART ferry_status wait_for_cancel(const ferry_cancel* cancel) {
  struct pollfd event = {(int)cancel->handle, POLLIN, 0};
  while (poll(&event, 1, -1) != 1) continue;
  return FERRY_INTERRUPTED;
}
PART ferry_status FERRY_CALL transport_connect(ferry_transport* transport, const char* address,
                                               const ferry_values* values, int64_t deadline_ns,
                                               const ferry_cancel* cancel, ferry_connection** out, ferry_error* error) {
  (void)transport, (void)address, (void)values, (void)deadline_ns, (void)cancel, (void)error;
  const ferry_status status = CONNECT_STATUS;
  if (status == FERRY_OK) *out = CONNECTION_OBJECT;
  return status;
}
PART ferry_status FERRY_CALL transport_listen(ferry_transport* transport, const char* address,
                                              const ferry_values* values, ferry_listener** out, ferry_error* error) {
  (void)transport, (void)address, (void)values, (void)error;
  *out = LISTENER_OBJECT;
  return FERRY_OK;
}
PART void FERRY_CALL transport_destroy(ferry_transport* transport) { (void)transport; }

PART void FERRY_CALL transport_free(ferry_transport* transport) { free(transport); }

PART const ferry_transport_ops transport_ops = {
    .struct_size = TRANSPORT_OPS_SIZE,
    .connect = TRANSPORT_CONNECT,
    .listen = TRANSPORT_LISTEN,
    .destroy = TRANSPORT_DESTROY,
};
PART ferry_transport the_transport = {TRANSPORT_SIZE, 0, TRANSPORT_OPS};

PART ferry_transport* fresh_transport(void) {
  ferry_transport* const transport = malloc(sizeof(ferry_transport));
  if (transport != NULL) *transport = the_transport;
  return transport;
}

PART ferry_status FERRY_CALL check_address(const char* address, ferry_error* error) {
  (void)error;
  return address[0] == '\0' ? FERRY_INVALID : FERRY_OK;
}
PART ferry_status FERRY_CALL create(const ferry_host* host, const ferry_values* values, ferry_transport** out,
                                    ferry_error* error) {
  (void)host, (void)values;
  CREATE_FIRST;
#ifdef UNDEFINED_SYMBOL
  a_function_that_nobody_defines();
#endif
#ifdef NEEDS_LIBRARY
  ghost();
#endif
  if (CREATE_STATUS == FERRY_OK) {
    *out = TRANSPORT_OBJECT;
  } else if (error != NULL) {
    error->status = CREATE_STATUS;
    strncpy(error->message, CREATE_MESSAGE, sizeof(error->message) - 1);
  }
  return CREATE_STATUS;
}

PART const char* const schemes[] = {SCHEMES};
PART const char* const no_choices[] = {NULL};
PART const ferry_option options[] = {
    {OPTION_SIZE, OPTION_TYPE, FERRY_OPTION_CONNECT, 0, OPTION_NAME, OPTION_DEFAULT, OPTION_MINIMUM, 64, OPTION_CHOICES,
     OPTION_HELP},
    {SIZE_OF(ferry_option), FERRY_OPTION_BOOL, FERRY_OPTION_CONNECT, 0, "eager", NULL, 0, 1, NULL, "whether at once"},
};
#if defined(NO_SYMBOL)
#elif defined(SYMBOL_IS_A_FUNCTION)
FERRY_PLUGIN_EXPORT void ferry_plugin_v1(void);
void ferry_plugin_v1(void) {}
#elif defined(SYMBOL_IS_SMALL)
FERRY_PLUGIN_EXPORT extern const uint32_t ferry_plugin_v1[2];
const uint32_t ferry_plugin_v1[2] = {SIZE_OF(ferry_plugin), FERRY_ABI_MAJOR};
#else
FERRY_PLUGIN_EXPORT extern const ferry_plugin ferry_plugin_v1;
const ferry_plugin ferry_plugin_v1 = {
    .struct_size = PLUGIN_SIZE,
    .abi_major = PLUGIN_MAJOR,
    .abi_minor = PLUGIN_MINOR,
    .option_count = PLUGIN_OPTION_COUNT,
    .option_stride = PLUGIN_OPTION_STRIDE,
    .capabilities = PLUGIN_CAPABILITIES,
    .name = PLUGIN_NAME,
    .version = "1.0",
    .description = PLUGIN_DESCRIPTION,
    .licence = "Apache-2.0",
    .schemes = PLUGIN_SCHEMES,
    .options = PLUGIN_OPTIONS,
    .ephemeral_address = PLUGIN_EPHEMERAL_ADDRESS,
    .check_address = PLUGIN_CHECK_ADDRESS,
    .create = PLUGIN_CREATE,
};
#endif
