#include "layout.h"

bool plugin_can_say_more(const ferry_plugin* plugin);
bool plugin_can_say_more(const ferry_plugin* plugin) { return FERRY_HAS(plugin, ferry_plugin, get_extension); }

namespace {

constexpr bool same(const char* a, const char* b) { return *a == *b && (*a == '\0' || same(a + 1, b + 1)); }

}  // namespace

// A C compiler cannot compare texts in an assertion; what they are is the same for both.
static_assert(same(FERRY_PLUGIN_SYMBOL, "ferry_plugin_v1"), "the symbol");
static_assert(same(FERRY_EXT_LEND, "ferry.lend/1"), "an extension");
static_assert(same(FERRY_EXT_ARM_MANY, "ferry.arm_many/1"), "an extension");
static_assert(same(FERRY_EXT_PEER, "ferry.peer/1"), "an extension");
static_assert(same(FERRY_EXT_FILE, "ferry.file/1"), "an extension");
static_assert(same(FERRY_EXT_SPLICE, "ferry.splice/1"), "an extension");
static_assert(same(FERRY_EXT_FDS, "ferry.fds/1"), "an extension");
static_assert(same(FERRY_EXT_STREAMS, "ferry.streams/1"), "an extension");
static_assert(same(FERRY_EXT_DATAGRAMS, "ferry.datagrams/1"), "an extension");
static_assert(same(FERRY_EXT_IDENTITY, "ferry.identity/1"), "an extension");
static_assert(same(FERRY_EXT_PATH, "ferry.path/1"), "an extension");
static_assert(same(FERRY_EXT_STATISTICS, "ferry.statistics/1"), "an extension");
static_assert(same(FERRY_EXT_DRIVE, "ferry.drive/1"), "an extension");
