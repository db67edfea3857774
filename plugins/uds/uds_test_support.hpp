// What the tests of the uds transport share.
#pragma once

#include "support/raw_transport.hpp"

extern "C" const ferry_plugin ferry_plugin_v1;

namespace ferry::test {

/// The plugin, linked in, and a listener at a socket file of its own.
struct UdsListening {
  TemporaryDirectory directory;
  RawTransport transport{ferry_plugin_v1};
  RawListener listener = transport.listen(directory / "s");
  RawPair connect() const { return connected_pair(transport, listener); }
};

}  // namespace ferry::test
