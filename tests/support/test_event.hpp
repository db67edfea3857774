// What the tests' own transports give out as their pollable.
#pragma once

#ifdef _WIN32
#include "support/test_event_windows.hpp"
#else
#include "support/test_event_posix.hpp"
#endif
