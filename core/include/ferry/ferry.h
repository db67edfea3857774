/* Ferry for programs in C, and for every language that can call C: a runtime, messages and byte streams.
 *
 * The library is libferry. It is the same core as ferry::core, with the same configuration, and a link's name is all
 * that code knows of a transport. Statuses, deadlines and ferry_error are those of abi.h: FERRY_OK or a negative
 * status, absolute nanoseconds on the monotonic clock, and an error that the caller owns and may leave out (NULL).
 *
 * Threads: a runtime and a listener's and connection's interrupt are for any thread; otherwise one thread may send and
 * one receive on a connection at a time, and one accept on a listener. No other thread may be inside a call on what is
 * closed. Everything that was made from a runtime is to be closed before it. */
#ifndef FERRY_FERRY_H
#define FERRY_FERRY_H

#include <ferry/abi.h>

#if defined(_WIN32)
#define FERRY_API
#else
#define FERRY_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ferry_runtime ferry_runtime; /* configuration and plugins */
typedef struct ferry_server ferry_server;   /* listens at one endpoint */
typedef struct ferry_channel ferry_channel; /* messages, framed as docs/reference/framing.md says */
typedef struct ferry_stream ferry_stream;   /* bytes */

/* `ns` nanoseconds from now as a deadline. Does not block. */
FERRY_API int64_t ferry_deadline_after(int64_t ns);
/* One short English phrase for a status. Static text. */
FERRY_API const char* ferry_status_text(ferry_status status);

/* ---------------------------------------------------------------------------------------------- runtime */

/* Reads a configuration file (NULL: none, descriptors alone). On failure `*out` is left alone and `error` says what is
 * wrong where; of many problems, as many as fit. Blocks for the file system only. */
FERRY_API ferry_status ferry_runtime_load(const char* config_file, ferry_runtime** out, ferry_error* error);
FERRY_API void ferry_runtime_free(ferry_runtime* runtime);

/* Connects to a link of the configuration by its name, or to a descriptor or a list of them. A channel proves the
 * link's authkey. Blocks until the link's connect_deadline (10 s by default); the stream until `deadline_ns` if that is
 * earlier. */
FERRY_API ferry_status ferry_connect(ferry_runtime* runtime, const char* link_or_descriptor, ferry_channel** out,
                                     ferry_error* error);
FERRY_API ferry_status ferry_connect_stream(ferry_runtime* runtime, const char* link_or_descriptor, int64_t deadline_ns,
                                            ferry_stream** out, ferry_error* error);

/* ----------------------------------------------------------------------------------------------- server */

/* Listens at a descriptor; clients may connect from the return on. */
FERRY_API ferry_status ferry_listen(ferry_runtime* runtime, const char* descriptor, ferry_server** out,
                                    ferry_error* error);
/* What a client dials, port 0 resolved. Valid until the server is closed. */
FERRY_API const char* ferry_server_descriptor(const ferry_server* server);
/* The next client, for messages or for bytes. Blocks until the deadline. */
FERRY_API ferry_status ferry_server_accept(ferry_server* server, int64_t deadline_ns, ferry_channel** out,
                                           ferry_error* error);
FERRY_API ferry_status ferry_server_accept_stream(ferry_server* server, int64_t deadline_ns, ferry_stream** out,
                                                  ferry_error* error);
/* Every blocked and later accept that would wait returns FERRY_INTERRUPTED. Any thread. */
FERRY_API void ferry_server_interrupt(ferry_server* server);
/* Stops listening and frees; what was accepted lives on. NULL is ignored. */
FERRY_API void ferry_server_close(ferry_server* server);

/* ---------------------------------------------------------------------------------------------- channel */

/* Sends one message whole. FERRY_TOO_LARGE: above `max_message`, nothing was sent. Blocks until the deadline. */
FERRY_API ferry_status ferry_channel_send(ferry_channel* channel, const void* data, uint64_t size, int64_t deadline_ns);
/* Sends many with as few system calls as the transport allows; `*sent` counts whole messages, also on failure. */
FERRY_API ferry_status ferry_channel_send_many(ferry_channel* channel, const ferry_iovec* messages, uint64_t count,
                                               uint64_t* sent, int64_t deadline_ns);
/* The next message, in the channel's memory until the next receive or close. FERRY_END: the peer has ended. After
 * FERRY_WOULD_BLOCK, FERRY_TIMED_OUT and FERRY_INTERRUPTED nothing is lost. Blocks until the deadline. */
FERRY_API ferry_status ferry_channel_receive(ferry_channel* channel, const void** data, uint64_t* size,
                                             int64_t deadline_ns);
/* The mutual challenge by a shared key, before the first message: a client answers first, the server's side challenges
 * first. Blocks until the deadline, and at most for the handshake_deadline option. */
FERRY_API ferry_status ferry_channel_prove_to_server(ferry_channel* channel, const void* key, uint64_t size,
                                                     int64_t deadline_ns, ferry_error* error);
FERRY_API ferry_status ferry_channel_challenge_client(ferry_channel* channel, const void* key, uint64_t size,
                                                      int64_t deadline_ns, ferry_error* error);
/* Ends our direction. */
FERRY_API ferry_status ferry_channel_shutdown_write(ferry_channel* channel);
/* Every blocked and later call that would wait returns FERRY_INTERRUPTED. Any thread. */
FERRY_API void ferry_channel_interrupt(ferry_channel* channel);
/* Delivers what was sent, at most for the `linger` option, and frees. NULL is ignored. */
FERRY_API ferry_status ferry_channel_close(ferry_channel* channel);
/* Ends at once, so that the peer sees a reset where the transport has one, and frees. NULL is ignored. */
FERRY_API void ferry_channel_abort(ferry_channel* channel);

/* ----------------------------------------------------------------------------------------------- stream */

/* At least one byte and at most `size`: how many, or a status; FERRY_END when the peer has ended. */
FERRY_API int64_t ferry_stream_read(ferry_stream* stream, void* data, uint64_t size, int64_t deadline_ns);
/* Writes everything unless the status says otherwise; `*written` (may be NULL) counts, also on failure. */
FERRY_API ferry_status ferry_stream_write(ferry_stream* stream, const void* data, uint64_t size, uint64_t* written,
                                          int64_t deadline_ns);
/* As those of a channel. */
FERRY_API ferry_status ferry_stream_shutdown_write(ferry_stream* stream);
FERRY_API void ferry_stream_interrupt(ferry_stream* stream);
FERRY_API ferry_status ferry_stream_close(ferry_stream* stream);
FERRY_API void ferry_stream_abort(ferry_stream* stream);

#ifdef __cplusplus
}
#endif
#endif /* FERRY_FERRY_H */
