// The baseline of quic: ngtcp2 alone, in processes of a helper program (tests/bench/bare_quic), one for each end, so
// that `ferry` itself links no transport's library. Both ends of a lane hand their rounds on to their helper.
#pragma once

#include <memory>
#include <string>

#include "bench/round.hpp"

namespace ferry::bench {

class BareProcess;

/// True when the helper is there: it is built with Ferry, and not installed.
bool has_bare_side();

/// A helper that listens; `address` is what bare_connect takes. accept() returns at once: the client's handshake ends
/// before its first round begins.
class BareListener {
 public:
  BareListener();
  BareListener(const BareListener&) = delete;
  BareListener& operator=(const BareListener&) = delete;
  ~BareListener();
  const std::string& address() const noexcept { return address_; }
  std::unique_ptr<Side> accept(bool spinning);

 private:
  std::string address_;
  std::unique_ptr<BareProcess> process_;
};

/// @param spinning  the helpers look at their sockets instead of sleeping in them
std::unique_ptr<Side> bare_connect(const std::string& address, bool spinning);

}  // namespace ferry::bench
