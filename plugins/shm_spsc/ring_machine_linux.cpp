#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring_machine.hpp"

namespace ferry::shm_spsc {

namespace {
bool membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0) == 0; }
}  // namespace

bool register_for_barriers() noexcept { return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED); }

/// Registered processes only are stopped for it, and only where they run at the moment; it cannot fail once registering
/// has succeeded.
void SharedMachine::heavy_barrier() noexcept { (void)membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED); }

}  // namespace ferry::shm_spsc
