// The handles that this process has open, found by asking for each.
//
// The system's table of all handles would tell at once, but Wine 8's server breaks down over it while another process
// has none yet, and takes every program with it. Wine's count of a process's handles is always 0.
#pragma once

#include <windows.h>

#include <cstdint>
#include <set>

namespace ferry::test {

/// Handles have 32 significant bits. Takes some 40 us a number under Wine, and asks for a thousand past the last.
inline std::set<int> open_handles() {
  constexpr int step = 4;           // handles are multiples of it
  constexpr int gap = 1024 * step;  // the lowest free number is taken first
  std::set<int> open;
  for (int handle = step, last = 0; handle <= last + gap; handle += step) {
    DWORD flags = 0;
    if (::GetHandleInformation(reinterpret_cast<HANDLE>(std::intptr_t{handle}), &flags) == FALSE) continue;
    open.insert(open.end(), handle);
    last = handle;
  }
  return open;
}

}  // namespace ferry::test
