// What this process uses, as the kernel counts it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "ferry/abi.h"

namespace ferry::conformance {

/// Open descriptors, without the one that looking takes. On Windows handles, which have 32 significant bits.
std::set<int> open_descriptors();
/// How many descriptors or threads the system's own libraries may take for themselves as a program goes on.
int taken_by_system_libraries() noexcept;
/// "socket:[1234]": what a descriptor is.
std::string describe_descriptor(int fd);
bool is_close_on_exec(int fd);
int thread_count();
std::uint64_t resident_bytes();
/// Zero-based numbers of the signals whose handling differs from the default or ignored, and how, as one text.
std::string signal_handling();

/// Takes every descriptor that this process could still have, while it lives.
class NoDescriptors {
 public:
  static bool is_possible() noexcept;  ///< not where the system has no limit
  NoDescriptors();
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;
  ~NoDescriptors();

 private:
  std::uint64_t limit_before_ = 0;
  std::vector<int> taken_;
};

/// A file open for reading and writing, made when it does not exist.
class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path);
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile();
  std::int64_t handle() const noexcept { return handle_; }  ///< as the ABI has it
  std::int64_t position() const;

 private:
  std::int64_t handle_;
};

/// Whether the system is Wine, which imitates Windows and not in all: a test that it cannot pass is skipped there, and
/// says that it is unverified on Windows.
bool is_wine() noexcept;

void close_descriptor(int fd);
/// This process's, as ferry.peer/1 tells them.
ferry_credentials own_credentials();

/// Counts this process's heap allocations; only in programs that link the counter, else null. See allocations.cpp.
using CountAllocations = std::uint64_t (*)();
extern CountAllocations count_allocations;

}  // namespace ferry::conformance
