#include "full_queue.hpp"

namespace ferry::conformance {

std::optional<FullQueue> fill_queue(Context& context) {
  constexpr int most = 300;
  context.transport().set_option("backlog", "1");
  FullQueue queue;
  queue.listener = context.listen();
  queue.address = queue.listener.local_address();
  for (int i = 0, late = 0; i < most; ++i) {
    Connection client;
    const ferry_status status = context.transport().connect(queue.address, in(150 * ms), client);
    if (status == FERRY_TIMED_OUT) {
      if (++late == 3) return queue;  // one alone may be the busy machine's
      continue;
    }
    late = 0;
    expect(status, {FERRY_OK}, "connect to a listener that nobody serves");
    queue.clients.push_back(std::move(client));
  }
  return std::nullopt;
}

}  // namespace ferry::conformance
