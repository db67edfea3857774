/*
 * Ferry transport ABI, version 1: the whole contract between the core and a transport plugin.
 *
 * A plugin is a shared library that exports one data symbol, `ferry_plugin_v1`, of type `ferry_plugin`.
 * Everything else is reached from it. This header is plain C (C11, C++11 and later) and includes nothing
 * but <stddef.h> and <stdint.h>; a plugin in any language that can lay out C structs may implement it.
 *
 * Rules that hold everywhere
 *   Sizes      Every struct starts with `struct_size`, set by whoever fills it to the size it was compiled with.
 *              Structs only grow at their end. A reader tests the size, then NULL, before it uses a member that an
 *              older writer may not have: see FERRY_HAS. The five small structs that stand in arrays or on hot paths
 *              (ferry_iovec, ferry_value, ferry_pollable, ferry_statistic, ferry_driven) have no `struct_size` and
 *              never change. `reserved` members are 0; whoever reads them ignores them, as unknown flags and bits.
 *   Versions   `abi_major` must be equal on both sides. A different `abi_minor` never rejects a plugin.
 *              New semantics get a new extension id ("ferry.peer/2"), never a new meaning of an old one. Ids that
 *              begin with "ferry." are this header's; others begin with a domain name of whoever defines them.
 *   Time       Deadlines are absolute, in nanoseconds of the monotonic clock (CLOCK_MONOTONIC on POSIX,
 *              QueryPerformanceCounter on Windows; `ferry_host.now_ns` reads it). FERRY_NO_WAIT (0) means do
 *              not wait; FERRY_FOREVER (INT64_MAX) means no deadline. Any other deadline already past
 *              behaves as FERRY_NO_WAIT except that the status is FERRY_TIMED_OUT; so does a negative one. A
 *              deadline bounds waiting: what is ready succeeds also when it has passed.
 *   Memory     Each side frees what it allocated. Text is UTF-8 and NUL-terminated. Nothing that a plugin
 *              receives by pointer outlives the call unless the comment says so. A pointer that a call gives out
 *              (`out`) is written on FERRY_OK only, and the object is then the caller's; on any other status the
 *              plugin keeps and frees whatever it had made. Plain values filled by a failed call mean nothing.
 *   Errors     Data-plane calls return a status. Cold calls also fill a caller-owned `ferry_error`; it may be
 *              NULL. There is no "last error". No exception, signal or longjmp crosses the boundary. Beside the
 *              statuses its comment lists, any call may return FERRY_NO_RESOURCES or FERRY_INTERNAL.
 *   Process    Signal handling, the working directory, umask, locale, environment and standard streams are the
 *              host's: a plugin changes and writes none of them. Its descriptors are close-on-exec. After a fork
 *              nothing of it is used in the child.
 *   Threads    The comment of each function ends with one tag of this closed list:
 *                [any-thread]  any thread, at any time in the object's life, concurrently with every call
 *                [reader]      one thread at a time per connection, concurrently with [writer]
 *                [writer]      one thread at a time per connection, concurrently with [reader]
 *                [acceptor]    one thread at a time per listener
 *                [driver]      one thread at a time per engine: that of whoever has taken it (ferry.drive/1)
 *                [owner]       no other call on the same object is under way, except that `interrupt` may be
 *                              while the object lives; where the call ends the object's life, nothing at all is
 *                              under way or starts later
 *              A tag names a role, not a thread: the role may pass from one thread to another, with whatever the
 *              host uses to order its threads between them.
 */
#ifndef FERRY_ABI_H
#define FERRY_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FERRY_ABI_MAJOR 1u
#define FERRY_ABI_MINOR 0u

/* The exported symbol's name; FERRY_PLUGIN_EXPORT makes it visible in a library built with hidden visibility. */
#define FERRY_PLUGIN_SYMBOL "ferry_plugin_v1"

#if defined(_WIN32)
#define FERRY_CALL __cdecl
#define FERRY_PLUGIN_EXPORT __declspec(dllexport)
#else
#define FERRY_CALL
#define FERRY_PLUGIN_EXPORT __attribute__((visibility("default")))
#endif

/* True when `object`, a pointer to a sized struct, was compiled with `member` and the member is not NULL. */
#define FERRY_HAS(object, type, member)                                                              \
  ((object) != NULL && (object)->struct_size >= offsetof(type, member) + sizeof((object)->member) && \
   (object)->member != NULL)

/* ---------------------------------------------------------------------------------------------- statuses */

/* Closed list. Zero is success and failures are negative, so a data-plane call returns either a byte count
 * or a status in one int64_t. */
typedef int32_t ferry_status;
enum {
  FERRY_OK = 0,
  FERRY_WOULD_BLOCK = -1, /* not ready now, and the deadline was FERRY_NO_WAIT */
  FERRY_TIMED_OUT = -2,   /* the deadline passed; nothing was transferred */
  FERRY_END = -3,         /* the peer ended its direction; every byte before it was delivered. Final for reads */
  FERRY_INTERRUPTED = -4, /* `interrupt` was called, or the connect was cancelled */
  FERRY_RESET = -5,   /* the connection was cut: by abort, a crash, or the network. Final for the call's direction */
  FERRY_REFUSED = -6, /* the address exists and nobody listens there */
  FERRY_UNREACHABLE = -7,     /* no route to the host or network */
  FERRY_ADDRESS_IN_USE = -8,  /* somebody else listens there */
  FERRY_NOT_FOUND = -9,       /* no such host, file or address */
  FERRY_PERMISSION = -10,     /* the system, a mode, or an allow-list says no */
  FERRY_INVALID = -11,        /* a malformed argument, address or option */
  FERRY_UNSUPPORTED = -12,    /* this transport, system or object cannot do it */
  FERRY_NO_RESOURCES = -13,   /* out of descriptors, memory, buffers or a configured limit */
  FERRY_TOO_LARGE = -14,      /* a record or view above the stated limit */
  FERRY_PROTOCOL = -15,       /* the peer broke the transport's protocol */
  FERRY_CLOSED = -16,         /* write after shutdown_write, or use of a closed listener */
  FERRY_AUTHENTICATION = -17, /* a handshake failed to prove who the peer is */
  FERRY_IO = -18,             /* any other failure of the operating system; see os_error */
  FERRY_INTERNAL = -19        /* a defect in the plugin, for example an exception at the boundary */
};

#define FERRY_NO_WAIT ((int64_t)0)
#define FERRY_FOREVER INT64_MAX

#define FERRY_MESSAGE_SIZE 488u

/* Why a cold call failed. The caller sets struct_size and owns the memory; the plugin fills the rest only on
 * failure, within struct_size bytes. `status` is what the call returns; `os_error` is errno or GetLastError(), 0 when
 * no system call failed. `message` says what, where and what to do, without the operation and target, which the core
 * prepends; it is cut to fit, NUL included. */
typedef struct ferry_error {
  uint32_t struct_size;
  ferry_status status;
  int32_t os_error;
  uint32_t reserved;
  char message[FERRY_MESSAGE_SIZE];
} ferry_error;

/* ---------------------------------------------------------------------------------------------- options */

typedef int32_t ferry_option_type;
enum {
  FERRY_OPTION_BOOL = 1,     /* integer 0 or 1 */
  FERRY_OPTION_INTEGER = 2,  /* integer */
  FERRY_OPTION_SIZE = 3,     /* integer, bytes; text takes B, KiB, MiB, GiB, KB, MB, GB */
  FERRY_OPTION_DURATION = 4, /* integer, nanoseconds; text takes ns, us, ms, s, min, h */
  FERRY_OPTION_TEXT = 5,     /* text */
  FERRY_OPTION_CHOICE = 6,   /* text, one of `choices` */
  FERRY_OPTION_MODE = 7      /* integer, file permission bits; text is octal */
};

enum {
  FERRY_OPTION_RELOADABLE = 1, /* a listener takes a new value through `reconfigure` */
  FERRY_OPTION_CONNECT = 2,    /* has an effect on connect */
  FERRY_OPTION_LISTEN = 4,     /* has an effect on listen and on what accept returns */
  FERRY_OPTION_SECRET = 8,     /* never printed */
  FERRY_OPTION_NEEDED = 16     /* with LISTEN and without a default: nothing can be listened at while it is unset or an
                                * empty text. The host says so, with the option's help, before it calls `listen`; `help`
                                * says where to get one */
};

/* One row of a plugin's option table. All text is static. The table validates configuration, feeds
 * `ferry inspect`, the JSON Schema and the reference documentation; nothing is written twice. */
typedef struct ferry_option {
  uint32_t struct_size;
  ferry_option_type type;
  uint32_t flags; /* FERRY_OPTION_RELOADABLE … */
  uint32_t reserved;
  const char* name;         /* [a-z][a-z0-9_]* */
  const char* default_text; /* in the spelling a user would write; NULL: unset, the plugin leaves the system's own */
  int64_t minimum;          /* of integer-valued types, inclusive, in the type's base unit */
  int64_t maximum;
  const char* const* choices; /* NULL-terminated, for FERRY_OPTION_CHOICE */
  const char* help;           /* one sentence, no full stop needed */
} ferry_option;

/* The resolved value of the option of the same index. Unset options have is_set 0 and zero members. */
typedef struct ferry_value {
  int64_t integer;
  const char* text;    /* for TEXT and CHOICE; valid during the call that receives it */
  int32_t is_set;      /* 1 when the default table or the user gave a value */
  int32_t is_explicit; /* 1 when the user gave it */
} ferry_value;

/* Values for every row of the plugin's table, in the table's order, validated and with defaults filled in. */
typedef struct ferry_values {
  uint32_t struct_size;
  uint32_t count;        /* equals the plugin's option_count */
  uint32_t value_stride; /* bytes between values: sizeof(ferry_value) of the side that filled it */
  uint32_t reserved;
  const ferry_value* values;
} ferry_values;

/* ------------------------------------------------------------------------------------------ host services */

typedef int32_t ferry_log_level;
enum {
  FERRY_LOG_TRACE = 0,
  FERRY_LOG_DEBUG = 1,
  FERRY_LOG_INFO = 2,
  FERRY_LOG_WARNING = 3,
  FERRY_LOG_ERROR = 4,
  FERRY_LOG_PEER_MISBEHAVING = 5 /* the other side broke a rule; shown as a warning and counted apart */
};

/* What the core offers a plugin. Valid from `create` until `destroy` of the last transport has returned. */
typedef struct ferry_host ferry_host;
struct ferry_host {
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t reserved;

  /* Logs one line of UTF-8 text without a line end. Does not block on the network; may take a lock. [any-thread] */
  void(FERRY_CALL* log)(const ferry_host* host, ferry_log_level level, const char* text);

  /* The monotonic clock, in nanoseconds; never 0 and never FERRY_FOREVER. [any-thread] */
  int64_t(FERRY_CALL* now_ns)(const ferry_host* host);

  /* Milliseconds from now to the deadline for poll(2) and its kin: rounded up, so a wait never ends early; 0 for
   * FERRY_NO_WAIT and for deadlines past; -1 for FERRY_FOREVER. [any-thread] */
  int32_t(FERRY_CALL* timeout_ms)(const ferry_host* host, int64_t deadline_ns);

  /* An optional service of the host by id; NULL when absent. The pointer lives as long as the host. [any-thread] */
  const void*(FERRY_CALL* get_extension)(const ferry_host* host, const char* id);
};

/* -------------------------------------------------------------------------------------------- data plane */

typedef struct ferry_connection ferry_connection;
typedef struct ferry_listener ferry_listener;
typedef struct ferry_transport ferry_transport;

/* One piece of a gathered write. On LP64 systems its layout is that of POSIX `struct iovec`. */
typedef struct ferry_iovec {
  const void* data;
  uint64_t size; /* bytes */
} ferry_iovec;

/* A write passes at most this many pieces; the core splits longer lists. */
#define FERRY_MAX_IOVECS 64u

typedef uint32_t ferry_interest;
enum { FERRY_READ = 1, FERRY_WRITE = 2 };

enum { FERRY_POLL_IN = 1, FERRY_POLL_OUT = 2 };

/* What an event loop waits on. `handle` is a file descriptor, or a HANDLE on Windows; `events` is what to wait
 * for (FERRY_POLL_IN, FERRY_POLL_OUT). The plugin owns the handle; it stays the same for the object's life. */
typedef struct ferry_pollable {
  int64_t handle;
  uint32_t events;
  uint32_t reserved;
} ferry_pollable;

enum {
  FERRY_ARMED = 0, /* it is safe to sleep on the pollable: any event from now on makes it ready */
  FERRY_READY = 1  /* something is ready now: do not sleep, try the operation */
};

enum { FERRY_WRITE_MORE = 1 /* more follows at once: the transport may hold back this write to batch it */ };

typedef int32_t ferry_connection_kind;
enum {
  FERRY_STREAM = 1, /* bytes; reads and writes may be partial */
  FERRY_RECORDS = 2 /* each write is one record, each read returns one record whole */
};

#define FERRY_ADDRESS_SIZE 1104u /* fits scheme-less address text of PATH_MAX/4 and a host name with port */

typedef struct ferry_connection_info {
  uint32_t struct_size;
  ferry_connection_kind kind;
  uint64_t max_record;      /* bytes, for FERRY_RECORDS; 0 for streams */
  uint64_t max_view;        /* largest `minimum` that lending's peek and reserve accept, 0 without lending */
  uint64_t frame_alignment; /* bytes on which the core should align messages it frames: 1 or 8 */
  char local_address[FERRY_ADDRESS_SIZE]; /* address text, without the scheme; empty when there is none */
  char peer_address[FERRY_ADDRESS_SIZE];
} ferry_connection_info;

/* Operations of a connection. One [reader] and one [writer] thread may use it at once. */
typedef struct ferry_connection_ops {
  uint32_t struct_size;
  uint32_t reserved;

  /* Reads up to `size` bytes into `data` (caller's). Streams return 1…size as soon as anything is there; records
   * return one record whole, or FERRY_TOO_LARGE and leave the record in place when it does not fit. Returns the
   * byte count (0 only for size 0, which a stream answers at once, or an empty record), or FERRY_WOULD_BLOCK,
   * TIMED_OUT, END, INTERRUPTED, RESET, TOO_LARGE, PROTOCOL, IO. Data that arrived before an END is always returned
   * before it, data before a RESET as far as the system still has it. Every read after END returns END and every
   * one after RESET returns RESET; END does not end our own direction. Blocks until the deadline. [reader] */
  int64_t(FERRY_CALL* read)(ferry_connection* connection, void* data, uint64_t size, int64_t deadline_ns);

  /* Writes from `count` (1…FERRY_MAX_IOVECS) pieces, any of which may be empty and then have NULL data. Streams may
   * accept fewer bytes than given, and accept at least one when they return a count for a non-empty write; a write of
   * no bytes is 0 at once. A record is written whole or not at all, an empty one too. Once a byte was accepted the
   * count is returned, whatever came after it; a negative status means that none was. The bytes are the caller's
   * again on return. With FERRY_WRITE_MORE accepted bytes may be held back, at the latest until a write without it,
   * shutdown_write or finish. Returns the byte count, or FERRY_WOULD_BLOCK, TIMED_OUT, INTERRUPTED, RESET (the peer
   * takes no more, for good), CLOSED (after our shutdown_write), TOO_LARGE, NO_RESOURCES, IO. A failed write says
   * nothing of reading: what the peer sent before is still there. Never raises a signal. Blocks until the deadline.
   * [writer] */
  int64_t(FERRY_CALL* write)(ferry_connection* connection, const ferry_iovec* pieces, uint32_t count, uint32_t flags,
                             int64_t deadline_ns);

  /* Prepares to sleep until `interest` (exactly one of FERRY_READ, FERRY_WRITE) is ready; data, END, RESET and any
   * other failure are readiness. After FERRY_ARMED the pollable becomes ready at the next event, or is so already; no
   * wake-up is lost between the two. One ARMED is good for one event: arm again before each sleep. FERRY_READY and a
   * pollable that fires may both be for nothing, and the operation then says WOULD_BLOCK, but not for ever. It need
   * not follow an operation that would have blocked. Returns FERRY_ARMED, FERRY_READY, or a negative status. Does not
   * block. [reader] for FERRY_READ, [writer] for FERRY_WRITE. */
  int32_t(FERRY_CALL* arm)(ferry_connection* connection, ferry_interest interest);

  /* Fills what to wait on for `interest`. FERRY_READ and FERRY_WRITE may share one handle with different events. The
   * host polls it and does nothing else with it, and stops to before it calls close or abort. Does not block. Returns
   * FERRY_OK or FERRY_UNSUPPORTED. [any-thread] */
  ferry_status(FERRY_CALL* pollable)(ferry_connection* connection, ferry_interest interest, ferry_pollable* out);

  /* Ends our direction: the peer reads what was written, what FERRY_WRITE_MORE held back included, then FERRY_END;
   * reading goes on. May be NULL unless the plugin has FERRY_CAP_HALF_CLOSE. Does not block. Idempotent. Returns
   * FERRY_OK, RESET, UNSUPPORTED, IO. [writer] */
  ferry_status(FERRY_CALL* shutdown_write)(ferry_connection* connection);

  /* Makes every blocked and every later call on the connection that would wait return FERRY_INTERRUPTED: read, write,
   * finish and those of extensions. Calls that need not wait still succeed, one with FERRY_NO_WAIT may say WOULD_BLOCK
   * or INTERRUPTED, and nothing that was sent or received is lost. It need not make the pollable ready: event loops
   * are woken by other means. Does not block. Idempotent and permanent. [any-thread] */
  void(FERRY_CALL* interrupt)(ferry_connection* connection);

  /* Ends our direction and waits until what was written is out of this process's responsibility: a following
   * `close` then loses no byte and the peer reads END after the last one. Unread input, and what still comes, is
   * discarded: from the first call on nothing but arm, pollable, interrupt, finish, close and abort is called.
   * Returns FERRY_OK, WOULD_BLOCK, TIMED_OUT, INTERRUPTED, RESET, IO; may be called again after any of the first four.
   * Between calls an event loop arms and waits for FERRY_READ, and calls again after some time as well, because not
   * every system makes a handle ready when the peer has taken the last byte. Blocks until the deadline. [owner] */
  ferry_status(FERRY_CALL* finish)(ferry_connection* connection, int64_t deadline_ns);

  /* Releases the connection and everything in it, in whatever state it is: interrupted, reset, ended. Without a
   * `finish` that returned FERRY_OK, bytes under way may still be lost. Does not block. Ends the object's life.
   * [owner] */
  void(FERRY_CALL* close)(ferry_connection* connection);

  /* As `close`, and the peer sees FERRY_RESET where the plugin has FERRY_CAP_RESET, else at least an end.
   * Does not block. Ends the object's life. [owner] */
  void(FERRY_CALL* abort)(ferry_connection* connection);

  /* Fills kind, limits and addresses, the same for the connection's life. `out->struct_size` is set by the caller and
   * left as it is; no byte beyond it is written. Returns FERRY_OK. Does not block. [any-thread] */
  ferry_status(FERRY_CALL* info)(ferry_connection* connection, ferry_connection_info* out);

  /* Fills values[0…count), which are those of the first `count` rows of the plugin's table, with what is in force (for
   * example the buffer size that the kernel granted). Values that cannot be read back have is_set 0, and so have those
   * beyond the table. Text points into the connection and lives as long. May be NULL. Returns FERRY_OK or IO. Does
   * not block. [any-thread] */
  ferry_status(FERRY_CALL* effective)(ferry_connection* connection, ferry_value* values, uint32_t count);

  /* An optional feature by id ("ferry.lend/1"), as a pointer to its static table; NULL when absent, and for every id
   * that the plugin does not know. The same answer for the connection's life. May be NULL. Does not block.
   * [any-thread] */
  const void*(FERRY_CALL* get_extension)(ferry_connection* connection, const char* id);
} ferry_connection_ops;

/* The head of every connection object; the plugin's own members follow it. */
struct ferry_connection {
  uint32_t struct_size;
  uint32_t reserved;
  const ferry_connection_ops* ops;
};

/* ---------------------------------------------------------------------------------------------- listener */

typedef struct ferry_listener_ops {
  uint32_t struct_size;
  uint32_t reserved;

  /* Takes one established connection into `*out`. A slow or hostile client's handshake delays nobody else. `error` may
   * be NULL; WOULD_BLOCK, TIMED_OUT and INTERRUPTED need not fill it. Returns FERRY_OK, WOULD_BLOCK, TIMED_OUT,
   * INTERRUPTED, CLOSED, NO_RESOURCES (the caller should pause before it tries again), or a failure of one client
   * that leaves the listener usable: RESET, PERMISSION, PROTOCOL, AUTHENTICATION. Blocks until the deadline. [acceptor]
   */
  ferry_status(FERRY_CALL* accept)(ferry_listener* listener, int64_t deadline_ns, ferry_connection** out,
                                   ferry_error* error);

  /* As a connection's arm, for `accept`. Does not block. [acceptor] */
  int32_t(FERRY_CALL* arm)(ferry_listener* listener);

  /* As a connection's pollable, for `accept`. Does not block. [any-thread] */
  ferry_status(FERRY_CALL* pollable)(ferry_listener* listener, ferry_pollable* out);

  /* As a connection's interrupt, for `accept`. Connections already accepted are not concerned. Does not block.
   * [any-thread] */
  void(FERRY_CALL* interrupt)(ferry_listener* listener);

  /* Copies the dialable address text (port 0 resolved, no scheme) with its NUL into `text` if it fits in `size`
   * bytes, and else leaves `text`, which may then be NULL, alone. Returns the bytes needed, NUL included. The same
   * text for the listener's life. Does not block. [any-thread] */
  uint32_t(FERRY_CALL* local_address)(ferry_listener* listener, char* text, uint32_t size);

  /* As a connection's effective. May be NULL. Does not block. [any-thread] */
  ferry_status(FERRY_CALL* effective)(ferry_listener* listener, ferry_value* values, uint32_t count);

  /* Takes new values of the options flagged FERRY_OPTION_RELOADABLE, and what the files they name hold now, for later
   * connections; ignores other options. On failure all the old ones stay in force. May be NULL. Returns FERRY_OK,
   * INVALID, NOT_FOUND, PERMISSION, IO. Does not block beyond the file system and resolver. [any-thread] */
  ferry_status(FERRY_CALL* reconfigure)(ferry_listener* listener, const ferry_values* options, ferry_error* error);

  /* Stops listening, removes what listening made (a socket file), and releases the listener. Connections already
   * accepted live on; clients that were not are cut. Does not block. Ends the object's life. [owner] */
  void(FERRY_CALL* close)(ferry_listener* listener);

  /* As a connection's get_extension. May be NULL. [any-thread] */
  const void*(FERRY_CALL* get_extension)(ferry_listener* listener, const char* id);
} ferry_listener_ops;

struct ferry_listener {
  uint32_t struct_size;
  uint32_t reserved;
  const ferry_listener_ops* ops;
};

/* --------------------------------------------------------------------------------------------- transport */

/* How the caller of a blocking `connect` cancels it: `handle` becomes readable (or signalled) for good. The plugin
 * polls it and does not read it. A connect that has succeeded when the cancel comes may return either. */
typedef struct ferry_cancel {
  uint32_t struct_size;
  uint32_t reserved;
  int64_t handle; /* a file descriptor or HANDLE, owned by the caller; -1: cannot be cancelled */
} ferry_cancel;

typedef struct ferry_transport_ops {
  uint32_t struct_size;
  uint32_t reserved;

  /* Connects to `address` (the descriptor's text after the scheme, without the query). `address`, `options` and
   * `cancel` are the caller's again on return. The connection lives on its own: it does not need the listener it came
   * from, only the transport. With FERRY_NO_WAIT it succeeds only where that takes no waiting (a local peer that is
   * ready) and else returns FERRY_WOULD_BLOCK having disturbed nobody. Returns FERRY_OK, WOULD_BLOCK, TIMED_OUT,
   * INTERRUPTED (by `cancel`), REFUSED, UNREACHABLE, NOT_FOUND, PERMISSION, INVALID, UNSUPPORTED, NO_RESOURCES,
   * PROTOCOL, AUTHENTICATION, RESET, IO. `cancel` may be NULL. Blocks until the deadline. [any-thread] */
  ferry_status(FERRY_CALL* connect)(ferry_transport* transport, const char* address, const ferry_values* options,
                                    int64_t deadline_ns, const ferry_cancel* cancel, ferry_connection** out,
                                    ferry_error* error);

  /* Listens at `address`. On FERRY_OK the caller owns `*out`; clients may connect from then on. Returns FERRY_OK,
   * ADDRESS_IN_USE, NOT_FOUND, PERMISSION, INVALID, UNSUPPORTED, NO_RESOURCES, IO. Does not block beyond the file
   * system and resolver. [any-thread] */
  ferry_status(FERRY_CALL* listen)(ferry_transport* transport, const char* address, const ferry_values* options,
                                   ferry_listener** out, ferry_error* error);

  /* As a connection's effective, with what this system would grant for `options`, contacting nobody and leaving nothing
   * behind; fails as listen would with them. Text is static. May be NULL. Does not block beyond files. [any-thread] */
  ferry_status(FERRY_CALL* effective)(ferry_transport* transport, const ferry_values* options, ferry_value* values,
                                      uint32_t count, ferry_error* error);

  /* Releases the transport. Every listener and connection of it is closed before. May wait for the transport's own
   * threads to end. Ends the object's life. [owner] */
  void(FERRY_CALL* destroy)(ferry_transport* transport);
} ferry_transport_ops;

struct ferry_transport {
  uint32_t struct_size;
  uint32_t reserved;
  const ferry_transport_ops* ops;
};

/* ------------------------------------------------------------------------------------------------ plugin */

enum {
  FERRY_CAP_STREAM = 1,        /* connections are byte streams */
  FERRY_CAP_RECORDS = 2,       /* connections carry records */
  FERRY_CAP_HALF_CLOSE = 4,    /* shutdown_write works and reading goes on */
  FERRY_CAP_RESET = 8,         /* abort reaches the peer as FERRY_RESET, told apart from an end */
  FERRY_CAP_LOCAL = 16,        /* both ends are on one machine */
  FERRY_CAP_REMOTE = 32,       /* the ends may be on different machines */
  FERRY_CAP_LENDING = 64,      /* connections have ferry.lend/1 */
  FERRY_CAP_CREDENTIALS = 128, /* connections have ferry.peer/1 */
  FERRY_CAP_FD_PASSING = 256,  /* connections have ferry.fds/1 */
  FERRY_CAP_ENCRYPTED = 512,   /* bytes on the wire are confidential and authenticated */
  FERRY_CAP_EPHEMERAL = 1024,  /* listen accepts `ephemeral_address`, and local_address tells what was chosen */
  FERRY_CAP_STREAMS = 2048,    /* connections have ferry.streams/1 */
  FERRY_CAP_DATAGRAMS = 4096,  /* connections have ferry.datagrams/1 */
  FERRY_CAP_IDENTITY = 8192    /* connections have ferry.identity/1 */
};

/* What `ferry_plugin_v1` is. All pointers are to static, constant data; the core reads it without calling
 * anything. No static constructor of the plugin may do I/O, start threads or fail. */
typedef struct ferry_plugin {
  uint32_t struct_size;
  uint32_t abi_major; /* FERRY_ABI_MAJOR of the header it was built with */
  uint32_t abi_minor;
  uint32_t option_count;
  uint32_t option_stride; /* sizeof(ferry_option) as compiled */
  uint32_t reserved;
  uint64_t capabilities;         /* FERRY_CAP_… */
  const char* name;              /* [a-z][a-z0-9_]*; unique among loaded plugins */
  const char* version;           /* of the plugin, free text, for example "1.4.0" */
  const char* description;       /* one line */
  const char* licence;           /* SPDX expression */
  const char* const* schemes;    /* NULL-terminated, at least one; [a-z][a-z0-9+.-]*, the first is the canonical one */
  const ferry_option* options;   /* option_count rows, option_stride apart */
  const char* ephemeral_address; /* with FERRY_CAP_EPHEMERAL: an address listen can serve and make dialable, in which
                                    "{dir}" stands for a private directory and "{name}" for a unique word */

  /* Says whether `address` is well formed, opening and resolving nothing; callable before `create`. Returns FERRY_OK or
   * FERRY_INVALID with a message that names the part at fault. Does not block. [any-thread] */
  ferry_status(FERRY_CALL* check_address)(const char* address, ferry_error* error);

  /* Makes a transport, one of any number that live at once and share nothing that a host could notice. `host` outlives
   * it; `options` are the defaults for instance-wide settings, to be copied as far as they are kept, and connect and
   * listen receive the full set again. Returns FERRY_OK, INVALID, UNSUPPORTED, NO_RESOURCES, IO, INTERNAL. Does not
   * block. [any-thread] */
  ferry_status(FERRY_CALL* create)(const ferry_host* host, const ferry_values* options, ferry_transport** out,
                                   ferry_error* error);

  /* An optional plugin-wide feature by id; NULL when absent. May be NULL. [any-thread] */
  const void*(FERRY_CALL* get_extension)(const char* id);
} ferry_plugin;

/* -------------------------------------------------------------------------------------------- extensions */

/* ferry.lend/1: read and build bytes in the transport's own memory. The core emulates it where it is absent. */
#define FERRY_EXT_LEND "ferry.lend/1"
typedef struct ferry_lend {
  uint32_t struct_size;
  uint32_t reserved;

  /* Lends at least `minimum` (1…max_view) contiguous unread bytes, as many as there are. The view stays valid and
   * unchanged until the next consume or read; until then a further peek begins at the same byte. Returns FERRY_OK, or
   * as `read`; END and RESET only when fewer than
   * `minimum` bytes remain (the rest can still be peeked with a smaller minimum). Blocks until the deadline. [reader]
   */
  ferry_status(FERRY_CALL* peek)(ferry_connection* connection, uint64_t minimum, const void** data, uint64_t* size,
                                 int64_t deadline_ns);

  /* Gives back the first `size` bytes of the view, at most all of it: they are read. Does not block. [reader] */
  void(FERRY_CALL* consume)(ferry_connection* connection, uint64_t size);

  /* Lends at least `minimum` (1…max_view) contiguous bytes to build in, as many as there are. The view stays valid
   * until the next commit or write, which discards what was not committed. Returns FERRY_OK, or as `write`. Blocks
   * until the deadline. [writer] */
  ferry_status(FERRY_CALL* reserve)(ferry_connection* connection, uint64_t minimum, void** data, uint64_t* size,
                                    int64_t deadline_ns);

  /* Publishes the first `size` bytes of the view (0 gives it back unused). `flags` as in write. Returns FERRY_OK or
   * RESET. Does not block. [writer] */
  ferry_status(FERRY_CALL* commit)(ferry_connection* connection, uint64_t size, uint32_t flags);

  /* As commit without flags, but the rest of the view stays lent until the next reserve, commit or write: many small
   * messages then cost one reserve and one call each. Optional, NULL. [writer] */
  ferry_status(FERRY_CALL* publish)(ferry_connection* connection, uint64_t size);
} ferry_lend;

/* ferry.arm_many/1: arms many connections at the price of one, where arming has a price (shared memory: a barrier
 * across processors). A connection that has it also promises that a read that finds nothing costs no system call, so
 * that an event loop may look at many for a while before it arms them. */
#define FERRY_EXT_ARM_MANY "ferry.arm_many/1"
typedef struct ferry_arm_many {
  uint32_t struct_size;
  uint32_t reserved;
  /* Arms every one of `connections`, all of which gave this very table, and puts into `answers` what `arm` would have
   * returned for each. Does not block. [reader] of each for FERRY_READ, [writer] for FERRY_WRITE */
  void(FERRY_CALL* arm)(ferry_connection* const* connections, uint32_t count, ferry_interest interest,
                        int32_t* answers);
} ferry_arm_many;

/* ferry.peer/1: who the other process is, as the kernel says. */
#define FERRY_EXT_PEER "ferry.peer/1"
typedef struct ferry_credentials {
  uint32_t struct_size;
  uint32_t reserved;
  int64_t uid; /* -1: unknown */
  int64_t gid;
  int64_t pid;
} ferry_credentials;
typedef struct ferry_peer {
  uint32_t struct_size;
  uint32_t reserved;
  /* Fills the credentials at the time of connecting. Does not block. [any-thread] */
  ferry_status(FERRY_CALL* credentials)(ferry_connection* connection, ferry_credentials* out);
} ferry_peer;

/* ferry.file/1: send file content without copying it through the process. */
#define FERRY_EXT_FILE "ferry.file/1"
typedef struct ferry_file {
  uint32_t struct_size;
  uint32_t reserved;
  /* Sends up to `size` bytes of the file `file` from `offset`; the file's own position does not move. Returns the
   * byte count (0: end of the file), or as `write`, or FERRY_UNSUPPORTED for a file the kernel cannot send from;
   * the caller then reads and writes itself. Blocks until the deadline. [writer] */
  int64_t(FERRY_CALL* send)(ferry_connection* connection, int64_t file, uint64_t offset, uint64_t size,
                            int64_t deadline_ns);
} ferry_file;

/* ferry.splice/1: move bytes between a stream connection and a pipe of the system (pipe(7)) without copying them
 * through the process, for relays. Where one of two connections stands on pipes, the other moves bytes from or to them
 * directly; two others meet in a pipe of the caller's own. A plugin offers a function only where it beats read and
 * write while many bytes are ready; any may be NULL. Calls of this table and read and write may follow each other in
 * any order. What a call did not count stays where it was, and an END or RESET that it returns the next read or write
 * returns again. */
#define FERRY_EXT_SPLICE "ferry.splice/1"
typedef struct ferry_splice {
  uint32_t struct_size;
  uint32_t reserved;

  /* The pipe that this direction of the connection stands on. FERRY_READ: it holds exactly the bytes that `read` would
   * return next. FERRY_WRITE: bytes put into it are written. The caller passes it to `send` (FERRY_READ) or `receive`
   * (FERRY_WRITE) of another connection, may poll it, and asks again before it moves more. Returns the descriptor,
   * which stays the plugin's, or FERRY_UNSUPPORTED, CLOSED (FERRY_WRITE after shutdown_write). Does not block. [reader]
   * for FERRY_READ, [writer] for FERRY_WRITE */
  int64_t(FERRY_CALL* pipe)(ferry_connection* connection, ferry_interest interest);

  /* Reads up to `size` (at least 1) bytes into `pipe`. Returns the byte count, or as `read`: WOULD_BLOCK also when the
   * pipe has no room, or FERRY_UNSUPPORTED when nothing can be moved to this pipe, which nobody reads any more perhaps.
   * After WOULD_BLOCK only a read that says the same proves that there is nothing. Never raises a signal. Does not
   * block. [reader] */
  int64_t(FERRY_CALL* receive)(ferry_connection* connection, int64_t pipe, uint64_t size);

  /* Writes up to `size` (at least 1) bytes from `pipe`. Returns the byte count, or as `write`: WOULD_BLOCK also when
   * the pipe is empty, FERRY_END when it is and nobody can write to it, or FERRY_UNSUPPORTED when nothing can be moved
   * from this pipe or at this time. Never raises a signal. Does not block. [writer] */
  int64_t(FERRY_CALL* send)(ferry_connection* connection, int64_t pipe, uint64_t size);
} ferry_splice;

/* ferry.fds/1: pass open descriptors beside bytes. A connection is used either with these calls or with read and
 * write in a direction at a time; descriptors that arrive during a plain read are closed, never leaked. */
#define FERRY_EXT_FDS "ferry.fds/1"
#define FERRY_MAX_FDS 64u
typedef struct ferry_fds {
  uint32_t struct_size;
  uint32_t reserved;
  /* Sends `count` (0…FERRY_MAX_FDS) descriptors with at least one byte of data; the caller keeps its own
   * descriptors open or not as it likes. Returns bytes sent, the descriptors going with the first, so that the rest of
   * a partial send goes without them; on failure none went. As `write`.
   * Blocks until the deadline. [writer] */
  int64_t(FERRY_CALL* send)(ferry_connection* connection, const void* data, uint64_t size, const int32_t* fds,
                            uint32_t count, int64_t deadline_ns);
  /* Receives bytes and up to `*count` descriptors, close-on-exec, owned by the caller; sets `*count`, to 0 on failure.
   * When more came than there is room for, all that came are closed, the bytes with them are lost, and the call
   * returns FERRY_TOO_LARGE: room for FERRY_MAX_FDS is always enough. As `read`.
   * Blocks until the deadline. [reader]
   */
  int64_t(FERRY_CALL* receive)(ferry_connection* connection, void* data, uint64_t size, int32_t* fds, uint32_t* count,
                               int64_t deadline_ns);
} ferry_fds;

/* ferry.streams/1: more byte streams to the same peer, beside the one that a connection is. Each is a ferry_connection
 * of its own, with every operation and extension of the first, and none waits for another's bytes. The peers stay
 * connected until the last of these handles is closed; a close or abort of any but the last concerns that stream alone.
 */
#define FERRY_EXT_STREAMS "ferry.streams/1"
typedef struct ferry_streams {
  uint32_t struct_size;
  uint32_t reserved;

  /* Opens a stream; the peer gets it from its listener. Waits while the peer allows no more. `error` may be NULL.
   * Returns FERRY_OK, WOULD_BLOCK, TIMED_OUT, INTERRUPTED (`connection` was), RESET (the peers are not connected any
   * more), NO_RESOURCES. Blocks until the deadline. [writer] */
  ferry_status(FERRY_CALL* open)(ferry_connection* connection, int64_t deadline_ns, ferry_connection** out,
                                 ferry_error* error);

  /* Gives a listener for the streams that the peer opens, one at a time for all handles; the peer cannot open any
   * before. Its accept returns CLOSED once the peers are not connected any more, its local_address names our end and
   * cannot be dialled, and its close resets the streams that nobody has accepted. It counts as a handle. Returns
   * FERRY_OK, ADDRESS_IN_USE (there is one), UNSUPPORTED (an option forbids it), RESET. Does not block. [any-thread] */
  ferry_status(FERRY_CALL* listen)(ferry_connection* connection, ferry_listener** out, ferry_error* error);

  /* Ends our direction at once: the peer's reads return RESET, and it can learn `code` (below 2^62). Bytes under way
   * may be lost. Later writes return CLOSED; reading goes on. Does not block. Returns FERRY_OK, INVALID, RESET.
   * [writer] */
  ferry_status(FERRY_CALL* reset)(ferry_connection* connection, uint64_t code);

  /* Asks the peer to send no more, for the reason `code`: its writes return RESET, and it can learn the code. What
   * still comes is dropped, and later reads return CLOSED; writing goes on. Does not block. Returns FERRY_OK, INVALID,
   * RESET. [reader] */
  ferry_status(FERRY_CALL* stop)(ferry_connection* connection, uint64_t code);

  /* The code that the peer gave when it reset what we read (FERRY_READ) or stopped what we write (FERRY_WRITE), or when
   * it ended the connection; negative: WOULD_BLOCK, it gave none so far. Does not block. [any-thread] */
  int64_t(FERRY_CALL* code)(ferry_connection* connection, ferry_interest direction);
} ferry_streams;

/* ferry.datagrams/1: messages to the same peer that are not repeated when the network loses them. They may be lost,
 * come twice or overtake each other, and never hold up a stream. */
#define FERRY_EXT_DATAGRAMS "ferry.datagrams/1"
typedef struct ferry_datagrams {
  uint32_t struct_size;
  uint32_t reserved;

  /* Gives the datagrams as a ferry_connection of kind FERRY_RECORDS, one at a time for all handles: read takes one,
   * write sends one, arm and pollable wait for either. A write waits while earlier ones have not left; it returns
   * TOO_LARGE above max_size, and UNSUPPORTED where the peer takes none. What arrives with nobody reading is kept up to
   * the transport's limit, above which the transport's options say what is dropped. `max_record` is what fits any path.
   * It counts as a handle; finish does not wait for what was sent. Returns FERRY_OK, ADDRESS_IN_USE (they are open
   * already), UNSUPPORTED (an option forbids them), RESET. Does not block. [any-thread] */
  ferry_status(FERRY_CALL* open)(ferry_connection* connection, ferry_connection** out, ferry_error* error);

  /* The largest datagram, in bytes, that can be sent now; it changes with the path. 0: the peer takes none. Does not
   * block. [any-thread] */
  uint64_t(FERRY_CALL* max_size)(ferry_connection* connection);
} ferry_datagrams;

/* ferry.identity/1: who the peer has proven to be, and how the connection is protected. */
#define FERRY_EXT_IDENTITY "ferry.identity/1"
typedef int32_t ferry_identity_item;
enum {
  FERRY_IDENTITY_CERTIFICATE = 1, /* the peer's certificate, DER */
  FERRY_IDENTITY_FINGERPRINT = 2, /* its SHA-256, 64 hexadecimal digits */
  FERRY_IDENTITY_SUBJECT = 3,     /* its subject as RFC 4514 writes it, for example "CN=engine,O=Example" */
  FERRY_IDENTITY_PROTOCOL = 4,    /* the application protocol agreed on (ALPN) */
  FERRY_IDENTITY_CIPHER = 5,      /* for example "TLS1.3 AES-128-GCM" */
  FERRY_IDENTITY_RESUMED = 6,     /* "yes" or "no": an earlier session was resumed */
  FERRY_IDENTITY_EARLY_DATA = 7   /* "yes" or "no": what the client sent first came, and was taken, before its handshake
                                     was through; somebody on the path may have held it back, or sent it again */
};
typedef struct ferry_identity {
  uint32_t struct_size;
  uint32_t reserved;
  /* Copies an item, text without a NUL, into `data` if it fits in `size` bytes, and else leaves `data`, which may then
   * be NULL, alone. Returns the bytes needed; 0: there is none, because the peer showed no certificate or the item is
   * unknown, or none is known yet, because a client's connect did not wait for the handshake to send early data. Else
   * the same for the connection's life. Does not block. [any-thread] */
  int64_t(FERRY_CALL* get)(ferry_connection* connection, ferry_identity_item item, void* data, uint64_t size);
} ferry_identity;

/* ferry.path/1: the network path of a connection that can change it while it lives. */
#define FERRY_EXT_PATH "ferry.path/1"
typedef struct ferry_path {
  uint32_t struct_size;
  uint32_t reserved;
  /* Moves our end to the local address `local` ("host:port", port 0: any free one; NULL: another port where the system
   * would choose to go out now). On failure the old path stays in use. Returns FERRY_OK once the peer has answered on
   * the new path, or WOULD_BLOCK, TIMED_OUT, INTERRUPTED, INVALID, ADDRESS_IN_USE, NOT_FOUND, UNREACHABLE, UNSUPPORTED
   * (a server's end, or a peer that forbids it), RESET. Blocks until the deadline. [writer] */
  ferry_status(FERRY_CALL* move)(ferry_connection* connection, const char* local, int64_t deadline_ns,
                                 ferry_error* error);
  /* As a connection's info, with the addresses in use now. Does not block. [any-thread] */
  ferry_status(FERRY_CALL* current)(ferry_connection* connection, ferry_connection_info* out);
} ferry_path;

/* ferry.statistics/1: named figures about a connection. */
#define FERRY_EXT_STATISTICS "ferry.statistics/1"
typedef struct ferry_statistic {
  const char* name; /* static, for example "rtt" */
  const char* unit; /* static, "ns", "bytes", "packets", "" */
  int64_t value;
} ferry_statistic;
typedef struct ferry_statistics {
  uint32_t struct_size;
  uint32_t reserved;
  /* Fills up to `capacity` figures (0: `figures` may be NULL); returns how many there are, or a negative status. Does
   * not block. [any-thread] */
  int32_t(FERRY_CALL* read)(ferry_connection* connection, ferry_statistic* figures, uint32_t capacity);
} ferry_statistics;

/* ferry.drive/1: lets an event loop do the work of a transport that has an engine of its own.
 *
 * A protocol in user space (QUIC) has packets to read and deadlines to keep while nobody calls it. All connections and
 * listeners of a transport may share one engine for that. By itself it runs on a thread of its own, or on one that
 * waits in a call; each message for an event loop then costs the wake-up of another thread. A loop that takes the
 * engine does that work in its own turns instead:
 *
 *   take, and adopt each connection
 *   each turn:  arm every connection as usual, then the engine; sleep; drive; serve what drive listed
 *   give
 *
 * Connections of the same engine that other threads and loops use are served as well: they are woken as ever. Should
 * the driver stay away, busy with something else, the engine's own thread stands in for it after some milliseconds. */
#define FERRY_EXT_DRIVE "ferry.drive/1"

/* The same pointer for all connections and listeners of one engine. It lives as long as any of them. */
typedef struct ferry_engine ferry_engine;

/* A connection that drive() found ready for what `arm` had said FERRY_ARMED to. Its pollable need not fire for it. */
typedef struct ferry_driven {
  uint64_t token; /* as given to adopt */
  ferry_interest interest;
  uint32_t reserved;
} ferry_driven;

typedef struct ferry_drive {
  uint32_t struct_size;
  uint32_t reserved;

  /* The engine of a connection, or of a listener; NULL when it has none. Does not block. [any-thread] */
  ferry_engine*(FERRY_CALL* of_connection)(ferry_connection* connection);
  ferry_engine*(FERRY_CALL* of_listener)(ferry_listener* listener);

  /* Makes the caller the engine's driver, until give, and fills what to wait on. Returns FERRY_OK, WOULD_BLOCK (it has
   * a driver, or cannot change now), NO_RESOURCES. Does not block. [any-thread] */
  ferry_status(FERRY_CALL* take)(ferry_engine* engine, ferry_pollable* out);

  /* From now on drive lists `token` when it finds the connection ready, until give or the connection's end. Only the
   * driver's thread then uses the connection. Does not block. [driver] */
  void(FERRY_CALL* adopt)(ferry_engine* engine, ferry_connection* connection, uint64_t token);

  /* Does what is due: about `budget` packets at most, or what costs as much. Lists up to `capacity` connections in
   * `driven`, each once for each interest; those that find no room there have their pollable fire. With a budget of 0
   * it does nothing but tell that the driver is awake, which whoever has slept says by one call or another before it
   * spends time on anything else. Returns how many are listed. May wait for another thread that is in the engine.
   * [driver] */
  uint32_t(FERRY_CALL* drive)(ferry_engine* engine, uint32_t budget, ferry_driven* driven, uint32_t capacity);

  /* Says whether the driver may sleep, and sends what may be sent. FERRY_ARMED: until the pollable is ready or
   * `*deadline_ns` has come, which is FERRY_FOREVER where the pollable tells of the engine's deadlines as well.
   * FERRY_READY: drive first. May wait for another thread that is in the engine. [driver] */
  int32_t(FERRY_CALL* arm)(ferry_engine* engine, int64_t* deadline_ns);

  /* Ends what take began: the engine runs by itself again, and adopted connections fire their pollables. Comes before
   * the driver closes the last connection or listener that it knows of the engine. Does not block. [driver] */
  void(FERRY_CALL* give)(ferry_engine* engine);
} ferry_drive;

#ifdef __cplusplus
}
#endif

#endif /* FERRY_ABI_H */
