#include "layout.h"

/* The one macro with logic in it, as a C plugin would use it. */
int plugin_can_say_more(const ferry_plugin* plugin);
int plugin_can_say_more(const ferry_plugin* plugin) { return FERRY_HAS(plugin, ferry_plugin, get_extension); }
