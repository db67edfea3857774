// A plain blocking-capable connection over a stream socket, and pairs of them: what tests of the core use where they
// need the system but no plugin.
#pragma once

#ifdef _WIN32
#include "support/socket_connection_windows.hpp"
#else
#include "support/socket_connection_posix.hpp"
#endif
