// The baseline: what hand-written blocking sockets and FIFOs do on this machine, with no Ferry code below them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/round.hpp"

namespace ferry::bench {

/// The names of the raw counterparts of a scheme's measure, by which a raw lane is made; none: there is no baseline.
std::vector<std::string> raw_sides(const std::string& scheme, Measure measure, bool spinning);

/// A listening raw socket of the scheme's kind, or a pair of FIFOs; `address` is what raw_connect takes.
class RawListener {
 public:
  /// @param directory  private directory for a socket file or FIFOs
  RawListener(const std::string& scheme, const std::string& directory);
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;
  ~RawListener();
  const std::string& address() const noexcept { return address_; }
  std::unique_ptr<Side> accept(bool spinning);

 private:
  std::string scheme_;
  std::string address_;
  int fd_ = -1;
};

/// @param spinning  receive by trying without blocking instead of sleeping in the call
std::unique_ptr<Side> raw_connect(const std::string& scheme, const std::string& address, bool spinning);

}  // namespace ferry::bench
