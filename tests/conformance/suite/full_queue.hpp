// A listener that takes no more clients, so that a connect has to wait.
#pragma once

#include <optional>

#include "context.hpp"

namespace ferry::conformance {

/// Fills the queue of a listener that nobody serves until a connect has to wait. Where the plugin has an option
/// `backlog` it is set to its least. Empty when `most` clients were taken and none had to wait.
struct FullQueue {
  Listener listener;
  std::string address;
  std::vector<Connection> clients;
};
std::optional<FullQueue> fill_queue(Context& context);

}  // namespace ferry::conformance
