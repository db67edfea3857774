#include <windows.h>

#include "check.hpp"
#include "wait.hpp"

namespace ferry::conformance {

bool becomes_ready(const ferry_pollable& pollable, int timeout_ms) {
  return ::WaitForSingleObject(reinterpret_cast<HANDLE>(pollable.handle), static_cast<DWORD>(timeout_ms)) ==
         WAIT_OBJECT_0;
}

CancelHandle::CancelHandle() : handle_(reinterpret_cast<std::int64_t>(::CreateEventW(nullptr, TRUE, FALSE, nullptr))) {
  require(handle_ != 0, "CreateEvent");
}

CancelHandle::~CancelHandle() { ::CloseHandle(reinterpret_cast<HANDLE>(handle_)); }

void CancelHandle::cancel() { require(::SetEvent(reinterpret_cast<HANDLE>(handle_)) != FALSE, "SetEvent"); }

}  // namespace ferry::conformance
