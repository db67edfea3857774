#include <windows.h>

#include "ferry/sdk/handle_wait.hpp"
#include "ferry/sdk/interrupt.hpp"

namespace ferry::plugin {

Interrupt::~Interrupt() {
  const int event = state_.load(std::memory_order_relaxed);
  if (event >= 0) ::CloseHandle(event_handle(event));
}

void Interrupt::raise() noexcept {
  int current = none;
  // Pairs with the exchange in descriptor(): whichever comes second sees the first, so either a later sleeper finds
  // `raised`, or this finds the event that the sleeper waits for.
  if (state_.compare_exchange_strong(current, raised, std::memory_order_acq_rel, std::memory_order_acquire)) return;
  if (current >= 0) ::SetEvent(event_handle(current));
}

int Interrupt::descriptor() noexcept {
  int current = state_.load(std::memory_order_acquire);  // pairs with both exchanges
  if (current != none) return current;
  HANDLE const fresh = ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
  if (fresh == nullptr) return none;
  const int number = static_cast<int>(reinterpret_cast<std::intptr_t>(fresh));
  // Pairs with the exchange in raise(), and with this one when reader and writer fall asleep together.
  if (state_.compare_exchange_strong(current, number, std::memory_order_acq_rel, std::memory_order_acquire))
    return number;
  ::CloseHandle(fresh);
  return current;
}

}  // namespace ferry::plugin
