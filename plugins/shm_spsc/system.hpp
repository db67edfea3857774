// What this system has for memory that processes share, and for waking one another's event loops.
#pragma once

#ifdef _WIN32
#include "section.hpp"
#include "signal_event.hpp"
#else
#include "ferry/sdk/unique_fd.hpp"
#include "signal_socket.hpp"
#endif

namespace ferry::shm_spsc {

#ifdef _WIN32
using Memory = Section;
using Signal = SignalEvent;
#else
using Memory = plugin::UniqueFd;
using Signal = SignalSocket;
#endif

}  // namespace ferry::shm_spsc
