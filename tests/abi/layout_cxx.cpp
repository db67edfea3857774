#include "layout.h"

bool plugin_can_say_more(const ferry_plugin* plugin);
bool plugin_can_say_more(const ferry_plugin* plugin) { return FERRY_HAS(plugin, ferry_plugin, get_extension); }
