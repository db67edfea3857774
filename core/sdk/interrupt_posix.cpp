#include <sys/eventfd.h>
#include <unistd.h>

#include "ferry/sdk/interrupt.hpp"

namespace ferry::plugin {

Interrupt::~Interrupt() {
  const int fd = state_.load(std::memory_order_relaxed);
  if (fd >= 0) ::close(fd);
}

void Interrupt::raise() noexcept {
  int current = none;
  // Pairs with the exchange in descriptor(): whichever comes second sees the first, so either a later sleeper finds
  // `raised`, or this finds the eventfd that the sleeper polls.
  if (state_.compare_exchange_strong(current, raised, std::memory_order_acq_rel, std::memory_order_acquire)) return;
  if (current >= 0) (void)::eventfd_write(current, 1);
}

int Interrupt::descriptor() noexcept {
  int current = state_.load(std::memory_order_acquire);  // pairs with both exchanges
  if (current != none) return current;
  const int fresh = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fresh < 0) return none;
  // Pairs with the exchange in raise(), and with this one when reader and writer fall asleep together.
  if (state_.compare_exchange_strong(current, fresh, std::memory_order_acq_rel, std::memory_order_acquire))
    return fresh;
  ::close(fresh);
  return current;
}

}  // namespace ferry::plugin
