#include <windows.h>

#include "ring_machine.hpp"

namespace ferry::shm_spsc {

// FlushProcessWriteBuffers reaches the threads of its own process alone, so nobody is registered for it.
bool register_for_barriers() noexcept { return false; }

void SharedMachine::heavy_barrier() noexcept { ::FlushProcessWriteBuffers(); }

}  // namespace ferry::shm_spsc
