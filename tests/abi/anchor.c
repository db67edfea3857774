/* Exports one pointer to each struct of the ABI, so that the layout tools see them all: from a plugin alone they miss
 * what is reached only through void*. FERRY_ANCHOR_CHANGED stands for an unreviewed change, to show that one is found.
 */
#if defined(FERRY_ANCHOR_CHANGED)
#define ferry_pollable ferry_pollable_as_it_was
#endif
#include <ferry/abi.h>
#if defined(FERRY_ANCHOR_CHANGED)
#undef ferry_pollable
typedef struct ferry_pollable {
  int64_t handle;
  uint32_t events;
  uint32_t reserved;
  uint64_t added;
} ferry_pollable;
#endif

#define ANCHOR(type)                                                    \
  extern FERRY_PLUGIN_EXPORT const struct type* const anchor_of_##type; \
  const struct type* const anchor_of_##type = NULL

ANCHOR(ferry_error);
ANCHOR(ferry_option);
ANCHOR(ferry_value);
ANCHOR(ferry_values);
ANCHOR(ferry_host);
ANCHOR(ferry_iovec);
ANCHOR(ferry_pollable);
ANCHOR(ferry_connection_info);
ANCHOR(ferry_connection_ops);
ANCHOR(ferry_connection);
ANCHOR(ferry_listener_ops);
ANCHOR(ferry_listener);
ANCHOR(ferry_cancel);
ANCHOR(ferry_transport_ops);
ANCHOR(ferry_transport);
ANCHOR(ferry_plugin);
ANCHOR(ferry_lend);
ANCHOR(ferry_arm_many);
ANCHOR(ferry_credentials);
ANCHOR(ferry_peer);
ANCHOR(ferry_file);
ANCHOR(ferry_splice);
ANCHOR(ferry_fds);
ANCHOR(ferry_streams);
ANCHOR(ferry_datagrams);
ANCHOR(ferry_identity);
ANCHOR(ferry_path);
ANCHOR(ferry_statistic);
ANCHOR(ferry_statistics);
ANCHOR(ferry_driven);
ANCHOR(ferry_drive);
