// The other process of a lane, and how the two talk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/round.hpp"

namespace ferry::bench {

/// One end of the connection between the two processes. Native byte order and layout: both come from one build.
class Control {
 public:
  Control() = default;
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;
  virtual ~Control() = default;
  /// Reads all `size` bytes; false when the other process has gone. Blocks.
  virtual bool read_all(void* data, std::size_t size) = 0;
  /// Writes all `size` bytes, or throws std::system_error. Blocks.
  virtual void write_all(const void* data, std::size_t size) = 0;
};

/// The peer's end, in the process that start_peer made.
std::unique_ptr<Control> control_of_driver();

/// The driver's end, and the process. The destructor closes the control, at whose end the peer exits, and waits for
/// that.
class PeerProcess : public Control {
 public:
  /// Does not wait for the process to end by itself: it is killed.
  virtual void kill() noexcept = 0;
};
/// Runs this program again with `arguments`. Throws std::system_error.
std::unique_ptr<PeerProcess> start_peer(const std::vector<std::string>& arguments);

/// The processors that this process may use.
std::vector<int> usable_processors();
/// Restricts the calling process to one processor; throws std::system_error. Does nothing for -1.
void pin_to(int cpu);

/// The listening end of a hand-written counterpart (a name of raw_sides); `address` is what baseline_connect takes.
class BaselineListener {
 public:
  virtual ~BaselineListener() = default;
  virtual std::string address() const = 0;
  virtual std::unique_ptr<Side> accept(bool spinning) = 0;
};
/// @param directory  private directory for a socket file
std::unique_ptr<BaselineListener> baseline_listen(const std::string& name, const std::string& directory);
std::unique_ptr<Side> baseline_connect(const std::string& name, const std::string& address, bool spinning);

}  // namespace ferry::bench
