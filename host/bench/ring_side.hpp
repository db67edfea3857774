// The baselines of shm: rings of shared memory written for the purpose, in two processes, and what bounds them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/round.hpp"

namespace ferry::bench {

/// The names of the rings that are the counterpart of a shm measure.
std::vector<std::string> ring_sides(Measure measure, bool spinning);
/// True for names of ring_sides.
bool is_ring_side(const std::string& name);
/// True for what carries no bytes: a bound of what any ring can do.
bool is_bound(const std::string& name);

/// Makes the shared memory; `address` is what ring_connect takes. accept() does not wait for the other process,
/// and is called once.
class RingListener {
 public:
  explicit RingListener(const std::string& name);
  RingListener(const RingListener&) = delete;
  RingListener& operator=(const RingListener&) = delete;
  ~RingListener();
  std::string address() const;
  std::unique_ptr<Side> accept(bool spinning);

 private:
  std::string name_;
  int fd_;
};

/// @param spinning  wait by looking at the memory instead of sleeping on a futex
std::unique_ptr<Side> ring_connect(const std::string& name, const std::string& address, bool spinning);

}  // namespace ferry::bench
