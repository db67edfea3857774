// How an application's thread waits: it looks for packets in the meantime where it may, and sleeps where somebody else
// does.
#pragma once

#include <cstdint>

#include "quic_engine.hpp"
#include "quic_wakeup.hpp"

namespace ferry::quic {

/// Waits by driving the engine until `ready()`. False: it may not, or no longer, or the time is over, or the wait's own
/// descriptor is readable. Every change of what `ready` looks at is followed by a notify() of one of the wake-ups.
template <class Ready>
bool lead(Engine& engine, const Wait& wait, Ready&& ready) noexcept {
  if (!engine.start_leading()) return false;
  bool led = true;
  for (bool enough = false; led && !enough; enough = ready()) {
    const bool at_once = engine.lead_begins();
    for (Wakeup* const wakeup : wait.wakeups) wakeup->prepare_to_lead(engine.lead_fd());
    if (ready()) {  // pairs with the stores before each notify
      for (Wakeup* const wakeup : wait.wakeups) wakeup->disarm();
      engine.lead_no_more();
      break;
    }
    led = engine.lead(wait, at_once);
  }
  engine.stop_leading();
  return led;
}

/// Waits once, for one wake-up, and may return for nothing. `ready` is looked at after the wake-up is prepared.
template <class Ready>
void wait_once(Engine& engine, Wakeup& wakeup, std::int64_t deadline_ns, Ready&& ready, Stream* reader = nullptr,
               Landing* landing = nullptr) noexcept {
  Wakeup* const wakeups[] = {&wakeup};
  if (lead(engine, {wakeups, deadline_ns, reader, landing}, ready)) return;
  wakeup.prepare_sleep();
  if (ready()) return wakeup.disarm();  // pairs with the stores before each notify
  engine.sleep_begins();
  wakeup.sleep(deadline_ns);
  engine.sleep_ends();
}

}  // namespace ferry::quic
