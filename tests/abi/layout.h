/* The layout and every constant of ABI 1.0 in numbers, checked by whatever compiler reads this: layout_c11.c and
 * layout_cxx.cpp include it. A number here may be added, never changed: a plugin built long ago relies on each of them.
 * The offsets are those of systems with 64-bit pointers, POSIX and Windows alike. */
#ifndef FERRY_TESTS_ABI_LAYOUT_H
#define FERRY_TESTS_ABI_LAYOUT_H

#include <ferry/abi.h> /* first and alone: the header must need nothing before it */

#ifdef __cplusplus
#define CHECK_THAT(condition) static_assert(condition, #condition)
#else
#define CHECK_THAT(condition) _Static_assert(condition, #condition)
#endif
#define VALUE(constant, number) CHECK_THAT((constant) == (number))
#define SIZE(type, bytes) CHECK_THAT(sizeof(type) == (bytes))
#define OFFSET(type, member, bytes) CHECK_THAT(offsetof(type, member) == (bytes))

VALUE(FERRY_ABI_MAJOR, 1);
VALUE(FERRY_NO_WAIT, 0);
VALUE(FERRY_FOREVER, INT64_MAX);
VALUE(FERRY_MESSAGE_SIZE, 488);
VALUE(FERRY_ADDRESS_SIZE, 1104);
VALUE(FERRY_MAX_IOVECS, 64);
VALUE(FERRY_MAX_FDS, 64);
CHECK_THAT(sizeof(FERRY_PLUGIN_SYMBOL) == sizeof("ferry_plugin_v1"));

VALUE(FERRY_OK, 0);
VALUE(FERRY_WOULD_BLOCK, -1);
VALUE(FERRY_TIMED_OUT, -2);
VALUE(FERRY_END, -3);
VALUE(FERRY_INTERRUPTED, -4);
VALUE(FERRY_RESET, -5);
VALUE(FERRY_REFUSED, -6);
VALUE(FERRY_UNREACHABLE, -7);
VALUE(FERRY_ADDRESS_IN_USE, -8);
VALUE(FERRY_NOT_FOUND, -9);
VALUE(FERRY_PERMISSION, -10);
VALUE(FERRY_INVALID, -11);
VALUE(FERRY_UNSUPPORTED, -12);
VALUE(FERRY_NO_RESOURCES, -13);
VALUE(FERRY_TOO_LARGE, -14);
VALUE(FERRY_PROTOCOL, -15);
VALUE(FERRY_CLOSED, -16);
VALUE(FERRY_AUTHENTICATION, -17);
VALUE(FERRY_IO, -18);
VALUE(FERRY_INTERNAL, -19);
VALUE(FERRY_OPTION_BOOL, 1);
VALUE(FERRY_OPTION_INTEGER, 2);
VALUE(FERRY_OPTION_SIZE, 3);
VALUE(FERRY_OPTION_DURATION, 4);
VALUE(FERRY_OPTION_TEXT, 5);
VALUE(FERRY_OPTION_CHOICE, 6);
VALUE(FERRY_OPTION_MODE, 7);
VALUE(FERRY_OPTION_RELOADABLE, 1);
VALUE(FERRY_OPTION_CONNECT, 2);
VALUE(FERRY_OPTION_LISTEN, 4);
VALUE(FERRY_OPTION_SECRET, 8);
VALUE(FERRY_OPTION_NEEDED, 16);
VALUE(FERRY_LOG_TRACE, 0);
VALUE(FERRY_LOG_DEBUG, 1);
VALUE(FERRY_LOG_INFO, 2);
VALUE(FERRY_LOG_WARNING, 3);
VALUE(FERRY_LOG_ERROR, 4);
VALUE(FERRY_LOG_PEER_MISBEHAVING, 5);
VALUE(FERRY_READ, 1);
VALUE(FERRY_WRITE, 2);
VALUE(FERRY_POLL_IN, 1);
VALUE(FERRY_POLL_OUT, 2);
VALUE(FERRY_ARMED, 0);
VALUE(FERRY_READY, 1);
VALUE(FERRY_WRITE_MORE, 1);
VALUE(FERRY_STREAM, 1);
VALUE(FERRY_RECORDS, 2);
VALUE(FERRY_CAP_STREAM, 1);
VALUE(FERRY_CAP_RECORDS, 2);
VALUE(FERRY_CAP_HALF_CLOSE, 4);
VALUE(FERRY_CAP_RESET, 8);
VALUE(FERRY_CAP_LOCAL, 16);
VALUE(FERRY_CAP_REMOTE, 32);
VALUE(FERRY_CAP_LENDING, 64);
VALUE(FERRY_CAP_CREDENTIALS, 128);
VALUE(FERRY_CAP_FD_PASSING, 256);
VALUE(FERRY_CAP_ENCRYPTED, 512);
VALUE(FERRY_CAP_EPHEMERAL, 1024);
VALUE(FERRY_CAP_STREAMS, 2048);
VALUE(FERRY_CAP_DATAGRAMS, 4096);
VALUE(FERRY_CAP_IDENTITY, 8192);
VALUE(FERRY_IDENTITY_CERTIFICATE, 1);
VALUE(FERRY_IDENTITY_FINGERPRINT, 2);
VALUE(FERRY_IDENTITY_SUBJECT, 3);
VALUE(FERRY_IDENTITY_PROTOCOL, 4);
VALUE(FERRY_IDENTITY_CIPHER, 5);
VALUE(FERRY_IDENTITY_RESUMED, 6);
VALUE(FERRY_IDENTITY_EARLY_DATA, 7);

SIZE(ferry_status, 4);
SIZE(ferry_option_type, 4);
SIZE(ferry_log_level, 4);
SIZE(ferry_interest, 4);
SIZE(ferry_connection_kind, 4);

#if UINTPTR_MAX == UINT64_MAX
SIZE(ferry_error, 504);
OFFSET(ferry_error, struct_size, 0);
OFFSET(ferry_error, status, 4);
OFFSET(ferry_error, os_error, 8);
OFFSET(ferry_error, reserved, 12);
OFFSET(ferry_error, message, 16);

SIZE(ferry_option, 64);
OFFSET(ferry_option, struct_size, 0);
OFFSET(ferry_option, type, 4);
OFFSET(ferry_option, flags, 8);
OFFSET(ferry_option, reserved, 12);
OFFSET(ferry_option, name, 16);
OFFSET(ferry_option, default_text, 24);
OFFSET(ferry_option, minimum, 32);
OFFSET(ferry_option, maximum, 40);
OFFSET(ferry_option, choices, 48);
OFFSET(ferry_option, help, 56);

SIZE(ferry_value, 24);
OFFSET(ferry_value, integer, 0);
OFFSET(ferry_value, text, 8);
OFFSET(ferry_value, is_set, 16);
OFFSET(ferry_value, is_explicit, 20);

SIZE(ferry_values, 24);
OFFSET(ferry_values, struct_size, 0);
OFFSET(ferry_values, count, 4);
OFFSET(ferry_values, value_stride, 8);
OFFSET(ferry_values, reserved, 12);
OFFSET(ferry_values, values, 16);

SIZE(ferry_host, 48);
OFFSET(ferry_host, struct_size, 0);
OFFSET(ferry_host, abi_major, 4);
OFFSET(ferry_host, abi_minor, 8);
OFFSET(ferry_host, reserved, 12);
OFFSET(ferry_host, log, 16);
OFFSET(ferry_host, now_ns, 24);
OFFSET(ferry_host, timeout_ms, 32);
OFFSET(ferry_host, get_extension, 40);

SIZE(ferry_iovec, 16);
OFFSET(ferry_iovec, data, 0);
OFFSET(ferry_iovec, size, 8);

SIZE(ferry_pollable, 16);
OFFSET(ferry_pollable, handle, 0);
OFFSET(ferry_pollable, events, 8);
OFFSET(ferry_pollable, reserved, 12);

SIZE(ferry_connection_info, 2240);
OFFSET(ferry_connection_info, struct_size, 0);
OFFSET(ferry_connection_info, kind, 4);
OFFSET(ferry_connection_info, max_record, 8);
OFFSET(ferry_connection_info, max_view, 16);
OFFSET(ferry_connection_info, frame_alignment, 24);
OFFSET(ferry_connection_info, local_address, 32);
OFFSET(ferry_connection_info, peer_address, 1136);

SIZE(ferry_connection_ops, 104);
OFFSET(ferry_connection_ops, struct_size, 0);
OFFSET(ferry_connection_ops, reserved, 4);
OFFSET(ferry_connection_ops, read, 8);
OFFSET(ferry_connection_ops, write, 16);
OFFSET(ferry_connection_ops, arm, 24);
OFFSET(ferry_connection_ops, pollable, 32);
OFFSET(ferry_connection_ops, shutdown_write, 40);
OFFSET(ferry_connection_ops, interrupt, 48);
OFFSET(ferry_connection_ops, finish, 56);
OFFSET(ferry_connection_ops, close, 64);
OFFSET(ferry_connection_ops, abort, 72);
OFFSET(ferry_connection_ops, info, 80);
OFFSET(ferry_connection_ops, effective, 88);
OFFSET(ferry_connection_ops, get_extension, 96);

SIZE(ferry_connection, 16);
OFFSET(ferry_connection, struct_size, 0);
OFFSET(ferry_connection, reserved, 4);
OFFSET(ferry_connection, ops, 8);

SIZE(ferry_listener_ops, 80);
OFFSET(ferry_listener_ops, struct_size, 0);
OFFSET(ferry_listener_ops, reserved, 4);
OFFSET(ferry_listener_ops, accept, 8);
OFFSET(ferry_listener_ops, arm, 16);
OFFSET(ferry_listener_ops, pollable, 24);
OFFSET(ferry_listener_ops, interrupt, 32);
OFFSET(ferry_listener_ops, local_address, 40);
OFFSET(ferry_listener_ops, effective, 48);
OFFSET(ferry_listener_ops, reconfigure, 56);
OFFSET(ferry_listener_ops, close, 64);
OFFSET(ferry_listener_ops, get_extension, 72);

SIZE(ferry_listener, 16);
OFFSET(ferry_listener, struct_size, 0);
OFFSET(ferry_listener, reserved, 4);
OFFSET(ferry_listener, ops, 8);

SIZE(ferry_cancel, 16);
OFFSET(ferry_cancel, struct_size, 0);
OFFSET(ferry_cancel, reserved, 4);
OFFSET(ferry_cancel, handle, 8);

SIZE(ferry_transport_ops, 40);
OFFSET(ferry_transport_ops, struct_size, 0);
OFFSET(ferry_transport_ops, reserved, 4);
OFFSET(ferry_transport_ops, connect, 8);
OFFSET(ferry_transport_ops, listen, 16);
OFFSET(ferry_transport_ops, effective, 24);
OFFSET(ferry_transport_ops, destroy, 32);

SIZE(ferry_transport, 16);
OFFSET(ferry_transport, struct_size, 0);
OFFSET(ferry_transport, reserved, 4);
OFFSET(ferry_transport, ops, 8);

SIZE(ferry_plugin, 112);
OFFSET(ferry_plugin, struct_size, 0);
OFFSET(ferry_plugin, abi_major, 4);
OFFSET(ferry_plugin, abi_minor, 8);
OFFSET(ferry_plugin, option_count, 12);
OFFSET(ferry_plugin, option_stride, 16);
OFFSET(ferry_plugin, reserved, 20);
OFFSET(ferry_plugin, capabilities, 24);
OFFSET(ferry_plugin, name, 32);
OFFSET(ferry_plugin, version, 40);
OFFSET(ferry_plugin, description, 48);
OFFSET(ferry_plugin, licence, 56);
OFFSET(ferry_plugin, schemes, 64);
OFFSET(ferry_plugin, options, 72);
OFFSET(ferry_plugin, ephemeral_address, 80);
OFFSET(ferry_plugin, check_address, 88);
OFFSET(ferry_plugin, create, 96);
OFFSET(ferry_plugin, get_extension, 104);

SIZE(ferry_lend, 48);
OFFSET(ferry_lend, struct_size, 0);
OFFSET(ferry_lend, reserved, 4);
OFFSET(ferry_lend, peek, 8);
OFFSET(ferry_lend, consume, 16);
OFFSET(ferry_lend, reserve, 24);
OFFSET(ferry_lend, commit, 32);
OFFSET(ferry_lend, publish, 40);

SIZE(ferry_arm_many, 16);
OFFSET(ferry_arm_many, struct_size, 0);
OFFSET(ferry_arm_many, reserved, 4);
OFFSET(ferry_arm_many, arm, 8);

SIZE(ferry_credentials, 32);
OFFSET(ferry_credentials, struct_size, 0);
OFFSET(ferry_credentials, reserved, 4);
OFFSET(ferry_credentials, uid, 8);
OFFSET(ferry_credentials, gid, 16);
OFFSET(ferry_credentials, pid, 24);

SIZE(ferry_peer, 16);
OFFSET(ferry_peer, struct_size, 0);
OFFSET(ferry_peer, reserved, 4);
OFFSET(ferry_peer, credentials, 8);

SIZE(ferry_file, 16);
OFFSET(ferry_file, struct_size, 0);
OFFSET(ferry_file, reserved, 4);
OFFSET(ferry_file, send, 8);

SIZE(ferry_splice, 32);
OFFSET(ferry_splice, struct_size, 0);
OFFSET(ferry_splice, reserved, 4);
OFFSET(ferry_splice, pipe, 8);
OFFSET(ferry_splice, receive, 16);
OFFSET(ferry_splice, send, 24);

SIZE(ferry_fds, 24);
OFFSET(ferry_fds, struct_size, 0);
OFFSET(ferry_fds, reserved, 4);
OFFSET(ferry_fds, send, 8);
OFFSET(ferry_fds, receive, 16);

SIZE(ferry_streams, 48);
OFFSET(ferry_streams, struct_size, 0);
OFFSET(ferry_streams, reserved, 4);
OFFSET(ferry_streams, open, 8);
OFFSET(ferry_streams, listen, 16);
OFFSET(ferry_streams, reset, 24);
OFFSET(ferry_streams, stop, 32);
OFFSET(ferry_streams, code, 40);

SIZE(ferry_datagrams, 24);
OFFSET(ferry_datagrams, struct_size, 0);
OFFSET(ferry_datagrams, reserved, 4);
OFFSET(ferry_datagrams, open, 8);
OFFSET(ferry_datagrams, max_size, 16);

SIZE(ferry_identity, 16);
OFFSET(ferry_identity, struct_size, 0);
OFFSET(ferry_identity, reserved, 4);
OFFSET(ferry_identity, get, 8);

SIZE(ferry_path, 24);
OFFSET(ferry_path, struct_size, 0);
OFFSET(ferry_path, reserved, 4);
OFFSET(ferry_path, move, 8);
OFFSET(ferry_path, current, 16);

SIZE(ferry_statistic, 24);
OFFSET(ferry_statistic, name, 0);
OFFSET(ferry_statistic, unit, 8);
OFFSET(ferry_statistic, value, 16);

SIZE(ferry_statistics, 16);
OFFSET(ferry_statistics, struct_size, 0);
OFFSET(ferry_statistics, reserved, 4);
OFFSET(ferry_statistics, read, 8);

SIZE(ferry_driven, 16);
OFFSET(ferry_driven, token, 0);
OFFSET(ferry_driven, interest, 8);
OFFSET(ferry_driven, reserved, 12);

SIZE(ferry_drive, 64);
OFFSET(ferry_drive, struct_size, 0);
OFFSET(ferry_drive, reserved, 4);
OFFSET(ferry_drive, of_connection, 8);
OFFSET(ferry_drive, of_listener, 16);
OFFSET(ferry_drive, take, 24);
OFFSET(ferry_drive, adopt, 32);
OFFSET(ferry_drive, drive, 40);
OFFSET(ferry_drive, arm, 48);
OFFSET(ferry_drive, give, 56);
#endif

#endif
