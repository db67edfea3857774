// What this process uses, as the kernel counts it.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace ferry::conformance {

/// Open descriptors, without the one that looking takes.
std::set<int> open_descriptors();
/// "socket:[1234]": what a descriptor is.
std::string describe_descriptor(int fd);
bool is_close_on_exec(int fd);
int thread_count();
std::uint64_t resident_bytes();
/// Zero-based numbers of the signals whose handling differs from the default or ignored, and how, as one text.
std::string signal_handling();

/// Lowers the limit of descriptors to those below `limit` while it lives.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(std::uint64_t limit);
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;
  ~DescriptorLimit();

 private:
  std::uint64_t before_;
};

/// Counts this process's heap allocations; only in programs that link the counter, else null. See allocations.cpp.
using CountAllocations = std::uint64_t (*)();
extern CountAllocations count_allocations;

}  // namespace ferry::conformance
